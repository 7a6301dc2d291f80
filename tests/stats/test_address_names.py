"""A VirtualMTA's name in an event means the address that had it at the event's time."""

import datetime
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from core.references import Reference
from ippools import ip_addresses, relay_servers
from ippools.models import FormerAddressName, IPAddress
from stats.intake import address_names
from stats.models import Event, EventSource
from tests.stats.conftest import ACTOR, NOW, Tenant
from tests.stats.test_delivery import LATER, POSTFIX, lines, make, report

pytestmark = [pytest.mark.storage, pytest.mark.django_db]

DAY = datetime.timedelta(days=1)
MOMENT = datetime.timedelta(milliseconds=1)
NAME = "out-1"


@pytest.fixture
def pair(acme: Tenant) -> tuple[IPAddress, IPAddress]:
    """Two addresses made long ago; the first is called so."""
    first, second = (IPAddress.objects.get(pk=each.pk) for each in acme.addresses[:2])
    IPAddress.objects.update(created_at=NOW - 30 * DAY)
    call(first, NAME)
    call(second, "out-2")
    FormerAddressName.objects.all().delete()
    return first, second


def call(address: IPAddress, name: str, at: datetime.datetime | None = None) -> None:
    """Rename an address, as if at this time."""
    ip_addresses.change(address.pk, name=name, actor=ACTOR)
    happened(at)


def happened(at: datetime.datetime | None) -> None:
    if at is not None:
        newest = FormerAddressName.objects.order_by("-pk").first()
        assert newest is not None
        FormerAddressName.objects.filter(pk=newest.pk).update(until=at)


def record(at: datetime.datetime) -> dict[str, Any]:
    times = {"timestamp": int(at.timestamp()), "event_time": at.isoformat(), "created_time": at.isoformat()}
    who = {"sender": "news@acme.example", "recipient": "x@big.example", "queue": "big.example", "nodeid": "n"}
    return {"type": "Delivery", "id": f"{at.timestamp()}", "egress_source": NAME} | times | who


def bearers(source: EventSource, *moments: datetime.datetime) -> list[int]:
    """Return by which address an event of each moment is counted; 0: by none. They are reported one by one."""
    found = []
    for at in moments:
        before = set(Event.objects.values_list("key", flat=True))
        assert report(source, lines(record(at)))["accepted"] == 1
        found.append(Event.objects.exclude(key__in=before).get().address_id)
    return found


@pytest.fixture
def source(acme: Tenant) -> EventSource:
    return make("kumomta", default_server=acme.server)


def test_a_name_that_moved_means_each_address_at_its_time(
    source: EventSource, pair: tuple[IPAddress, IPAddress]
) -> None:
    first, second = pair
    call(first, "out-old", NOW - 10 * DAY)
    call(second, NAME, NOW - 5 * DAY)
    moments = {
        NOW - 300 * DAY: first.pk,
        NOW - 10 * DAY: first.pk,
        # Its MTA had the name still.
        NOW - 5 * DAY - MOMENT: first.pk,
        NOW - 5 * DAY: second.pk,
        NOW: second.pk,
    }
    assert bearers(source, *moments) == list(moments.values())


def test_a_replay_after_the_name_moved_is_the_same_event(
    source: EventSource, pair: tuple[IPAddress, IPAddress]
) -> None:
    first, second = pair
    body = lines(record(NOW - DAY))
    assert report(source, body)["accepted"] == 1
    call(first, "out-old", NOW)
    call(second, NAME, NOW)
    again = report(source, body)
    assert (again["accepted"], again["duplicates"], again["conflicts"]) == (0, 1, [])
    assert Event.objects.get().address_id == first.pk


def test_names_that_were_exchanged_and_taken_back(source: EventSource, pair: tuple[IPAddress, IPAddress]) -> None:
    first, second = pair
    for number, (address, name) in enumerate(
        [(first, "x"), (second, NAME), (first, "out-2"), (second, "y"), (first, NAME), (second, "out-2")]
    ):
        call(address, name, NOW - (9 - number) * DAY)
    # The second had it from the eighth day before until the sixth, and the first again from the fifth.
    days = {9.5: first, 8: second, 6.5: second, 5.5: second, 4.5: first, 0: first}
    moments = [NOW - day * DAY for day in days]
    assert bearers(source, *moments) == [each.pk for each in days.values()]


def test_a_new_address_has_only_what_came_since_it_was_made(
    source: EventSource, pair: tuple[IPAddress, IPAddress]
) -> None:
    first, second = pair
    ip_addresses.change(second.pk, name="gone", actor=ACTOR)
    FormerAddressName.objects.all().delete()
    call(first, "out-old", NOW - 10 * DAY)
    IPAddress.objects.filter(pk=second.pk).update(name=NAME, name_key=NAME, created_at=NOW - 5 * DAY)
    assert bearers(source, NOW - 6 * DAY, NOW - 4 * DAY) == [first.pk, second.pk]


def test_the_name_of_a_deleted_address_means_no_other_one_in_its_time(acme: Tenant, source: EventSource) -> None:
    lone = ip_addresses.create(
        name=NAME, ipv4="198.51.100.77", hostname="a.example", template=Reference(name="Default"), actor=ACTOR
    )
    ip_addresses.delete(lone.pk, actor=ACTOR)
    happened(NOW - 5 * DAY)
    second = acme.addresses[1]
    call(second, NAME, NOW - 3 * DAY)
    assert bearers(source, NOW - 6 * DAY, NOW - 4 * DAY, NOW - 2 * DAY) == [0, 0, second.pk]


def test_a_relay_server_that_takes_the_name_is_no_address(
    source: EventSource, pair: tuple[IPAddress, IPAddress]
) -> None:
    first, _ = pair
    call(first, "out-old", NOW - 5 * DAY)
    relay_servers.create(
        name=NAME,
        source_ip="192.0.2.250",
        source_hostname="r.example",
        destination_hostname="relay.example",
        destination_port=25,
        max_concurrent_connections=1,
        max_messages_per_hour=0,
        actor=ACTOR,
    )
    assert bearers(source, NOW - 6 * DAY, NOW - 4 * DAY) == [first.pk, 0]


def test_postfix_takes_a_former_name_for_one_of_an_address(acme: Tenant, pair: tuple[IPAddress, IPAddress]) -> None:
    """Its log is read after the address was renamed; the lines are of before."""
    first, _ = pair
    call(first, "renamed", LATER)
    report(make("postfix"), POSTFIX.format(user=acme.smtp_user, tag=NAME).encode(), now=LATER)
    assert set(Event.objects.exclude(kind=1).values_list("address_id", flat=True)) == {first.pk}


def test_another_case_of_the_name_is_the_same_name(pair: tuple[IPAddress, IPAddress]) -> None:
    call(pair[0], NAME.upper())
    assert FormerAddressName.objects.count() == 0


def test_names_that_never_moved_cost_two_queries(pair: tuple[IPAddress, IPAddress]) -> None:
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert address_names.find({NAME, "out-2", "none"}) == {
            NAME: pair[0].ipv4,
            "out-2": pair[1].ipv4,
            "none": None,
        }
    assert len(queries) == 2
    call(pair[0], "x")
    with CaptureQueriesContext(connection) as queries:
        address_names.find({NAME, "out-2", "none"})
    assert len(queries) == 5
