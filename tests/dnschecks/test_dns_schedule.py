"""When a row is checked again."""

import random
from datetime import timedelta

import pytest

from dnschecks.checked import DNSStatus
from dnschecks.findings import Finding
from dnschecks.schedule import delay

OK, BAD, FAILED = Finding(DNSStatus.OK), Finding(DNSStatus.MISSING), Finding(None)
OLD, NEW = timedelta(days=9), timedelta(minutes=9)


class EvenDice(random.Random):
    def uniform(self, a: float, b: float) -> float:
        return (a + b) / 2


def minutes(findings: list[Finding], age: timedelta = OLD, streak: int = 1, failures: int = 0) -> float:
    waited = delay(findings, age=age, streak=streak, failures=failures, dice=EvenDice())
    return waited / timedelta(minutes=1)


@pytest.mark.parametrize(
    ("findings", "age", "streak", "failures", "expected"),
    [
        # Right: an hour, two, four … a day.
        ([OK, OK], OLD, 1, 0, 60),
        ([OK, OK], OLD, 2, 0, 120),
        ([OK, OK], OLD, 5, 0, 960),
        ([OK, OK], OLD, 6, 0, 1440),
        ([OK, OK], NEW, 1, 0, 60),
        # Wrong and fresh: somebody is at it.
        ([OK, BAD], NEW, 1, 0, 2),
        ([OK, BAD], NEW, 20, 0, 2),
        # Wrong for long: five minutes, ten … half a day.
        ([OK, BAD], OLD, 1, 0, 5),
        ([OK, BAD], OLD, 4, 0, 40),
        ([BAD, BAD], OLD, 9, 0, 720),
        # The resolver failed: soon again, then ever later.
        ([OK, FAILED], OLD, 7, 1, 1),
        ([FAILED, BAD], NEW, 1, 3, 4),
        ([FAILED, FAILED], OLD, 1, 8, 120),
        ([FAILED, FAILED], OLD, 10**9, 10**9, 120),
    ],
)
def test_it_waits_by_what_was_found(
    findings: list[Finding], age: timedelta, streak: int, failures: int, expected: float
) -> None:
    assert minutes(findings, age, streak, failures) == expected


def test_rows_made_together_drift_apart() -> None:
    dice = random.Random(7)
    waits = [delay([OK], age=OLD, streak=6, failures=0, dice=dice) / timedelta(hours=24) for _ in range(1_000)]
    assert 0.8 <= min(waits) < 0.81
    assert 1.19 < max(waits) <= 1.2
    assert len(set(waits)) == 1_000
