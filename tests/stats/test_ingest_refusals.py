"""What is no event, or one that may not be counted, is refused by itself: the rest of its batch is kept."""

import datetime
from typing import Any

import pytest

from stats.counts import buckets
from stats.counts.fold import fold_all
from stats.intake.ingest import Receipt, Remark, Reporter, ingest
from stats.intake.timestamps import MOST_DAYS
from stats.models import Day
from tests.stats.conftest import NOW, Tenant
from tests.stats.events import assert_counts, event

pytestmark = [pytest.mark.storage, pytest.mark.django_db]

PLATFORM = Reporter()


@pytest.mark.parametrize("not_an_event", [None, 1, "sent", True, [], ["id", "1"], 1.5])
def test_it_refuses_what_is_no_object(acme: Tenant, not_an_event: Any) -> None:
    assert ingest([not_an_event], reporter=PLATFORM, now=NOW) == Receipt(
        refused=[Remark(0, "invalid_event", "An event must be a JSON object")]
    )


WRONG = {
    "invalid_id": ("id", [None, "", 1, True, [], {}, "x" * 129]),
    "unknown_type": ("type", [None, "", "delivered", "SENT", 1, [], {}, ["sent"]]),
    "invalid_at": (
        "at",
        [
            None,
            "",
            "yesterday",
            "2026-13-01T00:00:00Z",
            "2026-03-11T24:00:01Z",
            True,
            [],
            {},
            1e300,
            float("nan"),
            float("inf"),
        ],
    ),
    "no_offset": ("at", ["2026-03-11T15:30:00", "2026-03-11"]),
    "too_old": ("at", ["1970-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59", 0, -1, -(10**40), "2021-03-07T15:30:19Z"]),
    "in_future": ("at", ["2026-03-12T15:30:21Z", "9999-12-31T23:59:59-23:59", 10**40, 1e14]),
    "unknown_server": (
        "server",
        [
            None,
            "",
            1,
            [],
            {},
            "nobody",
            "acme/",
            "/mailer",
            "acme/none",
            "\ud800",
            "\x00",
            "00000000-0000-0000-0000-000000000000",
        ],
    ),
    "invalid_ip": ("ip", ["", 1, [], {}, "192.0.2", "192.0.2.01", "fe80::1%eth0", "host", "\ud800", "\x00"]),
    "invalid_domain": ("domain", [1, [], {}, "-", "a b", "exa_mple", "x" * 254, "\ud800.example", "\x00"]),
}


@pytest.mark.parametrize(
    ("code", "name", "value"), [(code, name, value) for code, (name, values) in WRONG.items() for value in values]
)
def test_it_refuses_what_is_wrong_and_keeps_the_rest(acme: Tenant, code: str, name: str, value: Any) -> None:
    wrong = {**event(acme, id="wrong"), name: value}
    if value is None:
        del wrong[name]
    events = [event(acme, id="before"), wrong, event(acme, id="after")]
    receipt = ingest(events, reporter=PLATFORM, now=NOW)
    assert (receipt.accepted, receipt.duplicates) == (2, 0)
    assert [(refusal.position, refusal.code) for refusal in receipt.refused] == [(1, code)]
    assert receipt.refused[0].message
    assert_counts([events[0], events[2]])


def test_the_edges_of_time_are_taken(acme: Tenant, settings: Any) -> None:
    settings.SLUICE_EVENT_MAX_AGE = 10
    ten_days = datetime.timedelta(days=10)
    ms = datetime.timedelta(milliseconds=1)
    events = [
        event(acme, id="a", at=(NOW - ten_days).isoformat()),
        event(acme, id="b", at=(NOW - ten_days - ms).isoformat()),
        event(acme, id="c", at=(NOW + datetime.timedelta(days=1)).isoformat()),
        event(acme, id="d", at=(NOW + datetime.timedelta(days=1) + ms).isoformat()),
    ]
    receipt = ingest(events, reporter=PLATFORM, now=NOW)
    assert receipt == Receipt(
        accepted=2,
        refused=[
            Remark(1, "too_old", "at is more than 10 days ago"),
            Remark(3, "in_future", "at is more than a day ahead"),
        ],
    )
    assert_counts([events[0], events[2]])


def test_more_than_forty_days_at_once_are_refused_from_the_next_on(acme: Tenant) -> None:
    events = [
        event(
            acme,
            id=str(ago),
            at=(NOW - datetime.timedelta(days=ago)).isoformat(),
            server=None if ago % 2 else str(acme.server.uuid),
        )
        for ago in range(MOST_DAYS + 3)
    ] + [event(acme, id="known day")]
    receipt = ingest(events, reporter=Reporter(acme.server), now=NOW)
    message = "A batch may have events of 40 days: send this one again later"
    assert receipt == Receipt(accepted=41, refused=[Remark(index, "too_many_days", message) for index in (40, 41, 42)])
    assert ingest(events[40:43], reporter=Reporter(acme.server), now=NOW) == Receipt(accepted=3)


def test_a_day_whose_events_were_dropped_takes_no_more(acme: Tenant) -> None:
    old = "2026-01-10T12:00:00Z"
    ingest([event(acme, at=old)], reporter=PLATFORM, now=NOW)
    fold_all(now=NOW)
    Day.objects.filter(day=buckets.day_number(datetime.date(2026, 1, 10))).update(dropped_at=NOW)
    events = [event(acme, id="a", at=old), event(acme, id="b"), event(acme, id="a", at=old), event(acme, id="b")]
    message = "The server's events of this day are no longer held, so this could be a replay of one of them"
    assert ingest(events, reporter=PLATFORM, now=NOW) == Receipt(
        accepted=1, duplicates=1, refused=[Remark(0, "day_closed", message), Remark(2, "day_closed", message)]
    )
    assert ingest([event(acme, at=old)], reporter=PLATFORM, now=NOW) == Receipt(
        refused=[Remark(0, "day_closed", message)]
    )
    assert_counts([event(acme, at=old), events[1]])
