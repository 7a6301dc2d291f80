"""Names and addresses that change hands within one file: whatever its order, and never with two meanings."""

import itertools

import pytest

from core.csv_table import Row
from core.errors import Invalid
from ippools.models import FormerAddressName, IPAddress
from servers.address_file import import_rows
from tests.cast import ANN
from tests.factories import IPAddressFactory

pytestmark = [pytest.mark.storage, pytest.mark.django_db]


@pytest.fixture
def three() -> list[IPAddress]:
    return [
        IPAddressFactory(ipv4=f"192.0.2.{number}", name=f"mta{number}", ipv6=f"2001:db8::{number}")
        for number in (1, 2, 3)
    ]


def rows(cells: list[dict[str, str]]) -> list[Row]:
    return [Row(line, each) for line, each in enumerate(cells, start=2)]


def named() -> dict[str, tuple[str, str | None]]:
    return {each.ipv4: (each.name, each.ipv6) for each in IPAddress.objects.all()}


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_names_move_on_however_the_file_is_sorted(three, order):
    cells = [
        {"ipv4": "192.0.2.1", "name": "MTA2", "ipv6": "2001:db8::2"},
        {"ipv4": "192.0.2.2", "name": "mta3", "ipv6": "2001:db8::3"},
        {"ipv4": "192.0.2.3", "name": "mta4", "ipv6": "2001:db8::4"},
    ]
    outcome = import_rows(rows([cells[each] for each in order]), actor=ANN)
    assert len(outcome.changed) == 3
    assert named() == {
        "192.0.2.1": ("MTA2", "2001:db8::2"),
        "192.0.2.2": ("mta3", "2001:db8::3"),
        "192.0.2.3": ("mta4", "2001:db8::4"),
    }


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("number", [2, 3])
def test_addresses_exchange_what_they_have(three, order, number):
    of_next = {f"192.0.2.{each}": each % number + 1 for each in range(1, number + 1)}
    cells = [
        # Another spelling of the same address.
        {"ipv4": ipv4, "name": f"MTA{held}", "ipv6": f"2001:DB8:0::{held}"}
        for ipv4, held in of_next.items()
    ]
    outcome = import_rows(rows([cells[each] for each in order if each < number]), actor=ANN)
    assert sorted(outcome.changed) == sorted(of_next)
    assert {ipv4: named()[ipv4] for ipv4 in of_next} == {
        ipv4: (f"MTA{held}", f"2001:db8::{held}") for ipv4, held in of_next.items()
    }
    # Each step is in the audit trail, and events of before are for who had the name then.
    assert set(FormerAddressName.objects.values_list("name", "address_id")) >= {
        (each.name, each.pk) for each in three[:number]
    }
    assert import_rows(rows(cells), actor=ANN).unchanged == list(of_next)


@pytest.mark.parametrize("kept", [{}, {"name": "mta2"}])
def test_a_name_that_its_address_keeps_is_taken(three, kept):
    before = named()
    with pytest.raises(Invalid) as refusal:
        import_rows(
            rows([{"ipv4": "192.0.2.1", "name": "mta2"}, {"ipv4": "192.0.2.2", "ipv6": "2001:db8::1", **kept}]),
            actor=ANN,
        )
    assert "line 2.name has already been taken" in map(str, refusal.value.faults)
    assert named() == before


@pytest.mark.parametrize("redirected", ["192.0.2.3", "192.0.2.9"])
def test_a_redirect_to_a_name_that_changes_hands_is_refused(three, redirected):
    cells = [
        {"ipv4": "192.0.2.1", "name": "mta9"},
        {"ipv4": "192.0.2.2", "name": "mta1"},
        {"ipv4": redirected, "hostname": "h.example.com", "redirect": "Mta1"},
    ]
    with pytest.raises(Invalid) as refusal:
        import_rows(rows(cells), actor=ANN)
    assert [str(each) for each in refusal.value.faults] == [
        "line 4.redirect names “Mta1”, which this file takes from 192.0.2.1 and gives 192.0.2.2: use the id of one of them"
    ]
    cells[2]["redirect"] = f"#{three[0].pk}"
    import_rows(rows(cells), actor=ANN)
    assert IPAddress.objects.get(ipv4=redirected).redirect_id == three[0].pk


def test_a_redirect_goes_on_to_an_address_that_has_another_name_then(three):
    cells = [{"ipv4": "192.0.2.1", "name": "mta9"}, {"ipv4": "192.0.2.3", "redirect": "mta1"}]
    import_rows(rows(cells), actor=ANN)
    assert IPAddress.objects.get(ipv4="192.0.2.3").redirect_id == three[0].pk
