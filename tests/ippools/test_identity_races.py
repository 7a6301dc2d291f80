"""Checks of addresses that are deleted at the same moment."""

from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from core.audit import Actor
from ippools.addresses import NewAddress, create_many
from ippools.identity import check_address, check_due_addresses
from ippools.models import AddressIdentity, IPAddress
from tests.dns_server import LocalDNS

pytestmark = [pytest.mark.server, pytest.mark.storage]


def sweep(address: IPAddress) -> None:
    check_due_addresses(at=timezone.now(), seconds=5)


def check(address: IPAddress) -> None:
    check_address(address, asked_by="operator")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("act", [sweep, check])
def test_an_address_that_goes_between_the_look_and_the_row_breaks_nothing(
    act: Callable[[IPAddress], Any], monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    address, other = create_many(
        [NewAddress(ipv4=f"192.0.2.{number}", hostname="mta.example.com") for number in (1, 2)], actor=Actor.system()
    )
    original = AddressIdentity.objects.bulk_create
    calls: list[int] = []

    def delete_first(rows: Any, **options: Any) -> Any:
        if not calls:
            # Goes with the refused transaction, so the address is there again when the act looks again.
            IPAddress.objects.filter(pk=address.pk).delete()
        calls.append(len(rows))
        return original(rows, **options)

    monkeypatch.setattr(AddressIdentity.objects, "bulk_create", delete_first)
    with LocalDNS() as server:
        settings.SLUICE_DNS_SERVERS = [server.address]
        act(address)
    assert len(calls) == 2
    expected = {address.pk, other.pk} if act is sweep else {address.pk}
    assert set(AddressIdentity.objects.exclude(dns_checked_at=None).values_list("pk", flat=True)) == expected
