"""The time of a line of Postfix's log: a traditional stamp has neither year nor zone."""

import datetime

import pytest

from agent.postfix_log import Reader
from tests.stats.intake.test_postfix_log import NOW, STAMP, active, client, delivery, read


@pytest.mark.parametrize(
    ("stamp", "zone", "at"),
    [
        ("Nov 27 02:35:04", "UTC", "2026-11-27T02:35:04.000Z"),
        ("Nov 26 21:35:04", "America/New_York", "2026-11-27T02:35:04.000Z"),
        ("Nov 28 02:35:04", "UTC", "2026-11-28T02:35:04.000Z"),
        ("Jan  2 00:00:01", "UTC", "2027-01-02T00:00:01.000Z"),
        ("2026-11-27T02:35:04.518649+00:00", "UTC", "2026-11-27T02:35:04.518Z"),
        ("2026-11-27T03:35:04+0100", "Asia/Tokyo", "2026-11-27T02:35:04.000Z"),
        ("2026-11-27T02:35:04z", "UTC", "2026-11-27T02:35:04.000Z"),
    ],
)
def test_times(stamp, zone, at):
    lines = (client(), active(), delivery(stamp=f"{stamp} node1 "))
    assert read(*lines, time_zone=zone)[-1]["event"]["at"] == at


def test_the_year_comes_from_a_long_queue_id_whatever_the_clock_says():
    lines = (client(), active(), delivery())
    found = {read(*lines, reader=Reader(now=now))[-1]["event"]["at"] for now in (0.0, NOW, NOW + 4e7, NOW - 4e7)}
    assert found == {"2026-11-27T02:35:04.000Z"}


@pytest.mark.parametrize(
    ("now", "stamps", "years"),
    [
        (
            datetime.datetime(2027, 1, 1, 0, 10, tzinfo=datetime.UTC),
            ["Dec 31 23:59:59", "Jan  1 00:00:01"],
            [2026, 2027],
        ),
        (datetime.datetime(2028, 3, 1, tzinfo=datetime.UTC), ["Feb 29 10:00:00", "Feb 29 10:00:01"], [2028, 2028]),
        (datetime.datetime(2026, 11, 27, tzinfo=datetime.UTC), ["Dec  1 10:00:00", "Apr  1 10:00:01"], [2025, 2026]),
    ],
)
def test_the_year_of_short_queue_ids_is_the_last_one_and_goes_on_with_the_log(now, stamps, years):
    reader = Reader(now=now.timestamp())
    found = []
    for stamp in stamps:
        lines = [
            line.replace(STAMP, f"{stamp} node1 ") for line in (client(qid="3C0452A09E5"), active(qid="3C0452A09E5"))
        ]
        found += [int(out["event"]["at"][:4]) for out in read(*lines, reader=reader)]
    assert found == years


def test_of_an_hour_that_comes_twice_a_line_that_is_read_again_means_the_same():
    """Short queue ids do not say when the message came. Later lines move the log's clock on."""
    stamps = ["Oct 25 01:59:59", "Oct 25 02:30:00", "Oct 26 10:00:00"]
    lines = [
        line.replace(STAMP, f"{stamp} node1 ")
        for number, stamp in enumerate(stamps)
        for line in (client(qid=f"3C0452A09E{number}"), active(qid=f"3C0452A09E{number}"))
    ]
    reader = Reader("Europe/Berlin", now=NOW)
    found = [[out["event"]["at"] for out in read(*lines, reader=reader)] for _ in "12"]
    assert found[0] == found[1]
    assert found[0] == ["2026-10-24T23:59:59.000Z", "2026-10-25T00:30:00.000Z", "2026-10-26T09:00:00.000Z"]


def test_a_wrong_time_zone_is_told_and_no_year_is_lost():
    """The queue id says when the message came: the log of a machine in New York was taken for one in UTC."""
    lines = [line.replace("Nov 27 02:35", "Nov 26 21:35") for line in (client(), active())]
    (out,) = read(*lines)
    assert out["event"]["at"] == "2026-11-26T21:35:04.000Z"
    assert out["warnings"] == [["time_zone", "The log's time is -18000 s off the queue id's: check the time zone"]]


@pytest.mark.parametrize(
    "stamp", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2026-11-27T02:35:04+99:99"]
)
def test_a_time_out_of_the_calendar_is_refused_and_its_neighbours_are_kept(stamp):
    lines = [
        client(),
        active().replace(STAMP, f"{stamp} node1 "),
        active(),
        delivery(stamp=f"{stamp} node1 "),
        delivery(),
    ]
    outs = read(*lines)
    assert [out.get("refused") or out["event"]["type"] for out in outs] == [
        "invalid_at",
        "incoming",
        "invalid_at",
        "sent",
    ]


def test_a_line_from_the_future_does_not_take_the_log_with_it():
    """A machine without a clock of its own begins with a wrong one, until it is set."""
    ahead = "2077-01-01T00:00:00Z node1 postfix/qmgr[2]: 3C0452A09E6: removed"
    short = {"qid": "3C0452A09E5"}
    reader = Reader(now=NOW)
    outs = read(client(**short), active(**short), ahead, delivery(**short), reader=reader)
    assert [(out["event"]["type"], out["event"]["at"][:4]) for out in outs] == [("incoming", "2026"), ("sent", "2026")]
