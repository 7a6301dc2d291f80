"""An event that names no server counts for the server that had its sender's domain verified at the event's time."""

import datetime
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from servers.models import Domain, DomainVerification, Server
from servers.provisioning import delete_server, restore_server
from stats.intake import verified_domains
from stats.models import Event, EventSource
from tests.stats.conftest import ACTOR, NOW, Tenant
from tests.stats.test_delivery import lines, make, native, report

pytestmark = [pytest.mark.storage, pytest.mark.django_db]

DAY = datetime.timedelta(days=1)
HOUR = datetime.timedelta(hours=1)
MOMENT = datetime.timedelta(milliseconds=1)
NAME = "mail.example"


def had(tenant: Tenant, since: datetime.datetime, until: datetime.datetime | None = None) -> None:
    DomainVerification.objects.create(server=tenant.server, name=NAME, since=since, until=until)


def sent(at: datetime.datetime, **fields: Any) -> dict[str, Any]:
    return native(id=str(at), at=at.isoformat(), **{"from": f"news@{NAME}"}, **fields)


def owners(source: EventSource, *moments: datetime.datetime) -> list[int | None]:
    """Return which server an event of each moment counts for, None where it is refused; they are reported one by one."""
    found = []
    for at in moments:
        before = set(Event.objects.values_list("key", flat=True))
        answer = report(source, lines(sent(at)))
        if answer["accepted"]:
            found.append(Event.objects.exclude(key__in=before).get().server_id)
        else:
            assert [each["code"] for each in answer["refused"]] == ["unknown_server"], answer
            found.append(None)
    return found


def test_a_domain_that_changed_hands_means_each_owner_at_its_time(acme: Tenant, globex: Tenant) -> None:
    had(acme, NOW - 20 * DAY, NOW - 10 * DAY)
    had(globex, NOW - 5 * DAY)
    mine, theirs = acme.server.pk, globex.server.pk
    moments = {
        # Nobody had it before.
        NOW - 300 * DAY: mine,
        NOW - 20 * DAY: mine,
        NOW - 10 * DAY - MOMENT: mine,
        NOW - 10 * DAY: None,
        NOW - 5 * DAY - MOMENT: None,
        NOW - 5 * DAY: theirs,
        NOW: theirs,
    }
    assert owners(make("native"), *moments) == list(moments.values())


def test_a_replay_after_the_domain_went_on_counts_nothing_again(acme: Tenant, globex: Tenant) -> None:
    source = make("native", default_server=globex.server)
    had(acme, NOW - 20 * DAY)
    events = lines(*(sent(NOW - number * DAY) for number in range(2, 12)))
    assert report(source, events)["accepted"] == 10
    DomainVerification.objects.update(until=NOW - DAY)
    had(globex, NOW - HOUR)
    answer = report(source, events)
    assert (answer["accepted"], answer["duplicates"]) == (0, 10)
    assert set(Event.objects.values_list("server_id", flat=True)) == {acme.server.pk}


def test_one_batch_has_events_of_all_owners(acme: Tenant, globex: Tenant) -> None:
    had(acme, NOW - 20 * DAY, NOW - 10 * DAY)
    had(globex, NOW - 5 * DAY)
    answer = report(make("native"), lines(*(sent(NOW - number * DAY - HOUR) for number in range(20))))
    assert [each["index"] for each in answer["refused"]] == [5, 6, 7, 8, 9]
    counted = sorted(Event.objects.values_list("server_id", flat=True))
    assert counted == sorted([globex.server.pk] * 5 + [acme.server.pk] * 10)


def test_while_several_have_it_no_server_does(acme: Tenant, globex: Tenant) -> None:
    source = make("native")
    had(acme, NOW - 20 * DAY)
    had(globex, NOW - 10 * DAY, NOW - 5 * DAY)
    mine = acme.server.pk
    moments = [NOW - 11 * DAY, NOW - 10 * DAY, NOW - 5 * DAY - MOMENT, NOW - 5 * DAY]
    assert owners(source, *moments) == [mine, None, None, mine]


def test_a_deleted_server_keeps_the_events_of_its_time(acme: Tenant, globex: Tenant) -> None:
    had(acme, NOW - 20 * DAY)
    Domain.objects.create(server=acme.server, name=NAME, verified_at=NOW - 20 * DAY)
    delete_server(server=acme.server, at=NOW - 10 * DAY, actor=ACTOR)
    source = make("native")
    mine, theirs = acme.server.pk, globex.server.pk
    assert owners(source, NOW - 10 * DAY - MOMENT, NOW - 10 * DAY, NOW) == [mine, None, None]
    had(globex, NOW - 8 * DAY, NOW - 6 * DAY)
    restored = restore_server(server=Server.objects.get(pk=acme.server.pk), at=NOW - 4 * DAY, actor=ACTOR)
    assert restored.deleted_at is None
    moments = [NOW - 11 * DAY, NOW - 9 * DAY, NOW - 7 * DAY, NOW - 5 * DAY, NOW - 4 * DAY, NOW - HOUR]
    assert owners(source, *moments) == [mine, None, theirs, None, mine, mine]


@pytest.mark.parametrize(
    ("at", "code"),
    [
        (None, "invalid_at"),
        ("yesterday", "invalid_at"),
        ("2026-03-11T15:30:00", "no_offset"),
        ([], "invalid_at"),
        (True, "invalid_at"),
        (10**18, "in_future"),
    ],
)
def test_an_event_without_a_time_is_refused_for_it(acme: Tenant, globex: Tenant, at: Any, code: str) -> None:
    had(acme, NOW - 20 * DAY, NOW - 10 * DAY)
    had(globex, NOW - 5 * DAY)
    answer = report(make("native", default_server=acme.server), lines(sent(NOW) | {"at": at}))
    assert (answer["accepted"], [each["code"] for each in answer["refused"]]) == (0, [code])


def test_a_name_is_looked_up_by_one_query_however_often_it_changed_hands(acme: Tenant, globex: Tenant) -> None:
    for number in range(30):
        tenant = (acme, globex)[number % 2]
        had(tenant, NOW - (40 - number) * DAY, NOW - (40 - number) * DAY + HOUR)
    DomainVerification.objects.create(server=acme.server, name="other.example", since=NOW)
    with CaptureQueriesContext(connection) as asked:
        found = verified_domains.find([NAME, "other.example", "unknown.example"])
    assert len(asked) == 1, asked.captured_queries
    assert found["other.example"] == str(acme.server.uuid)
    assert found["unknown.example"] is None
    periods = found[NAME]
    assert type(periods) is verified_domains.Owners
    # A beginning and an end of each; the first begins always.
    assert len(periods.times) == 60
