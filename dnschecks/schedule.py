"""The time of a row's next DNS check. Pure: the clock and the random number are arguments."""

import datetime
import random
from collections.abc import Iterable

from dnschecks.checked import DNSStatus
from dnschecks.findings import Finding

MINUTE = datetime.timedelta(minutes=1)
HOUR = datetime.timedelta(hours=1)
# A user who has just added a domain is publishing its records, and waits.
FRESH = HOUR
FRESH_DELAY = 2 * MINUTE
# What is right stays right for long; what is wrong may be put right at any time, but the owner may also have left.
STABLE_FIRST, STABLE_LONGEST = HOUR, 24 * HOUR
WRONG_FIRST, WRONG_LONGEST = 5 * MINUTE, 12 * HOUR
FAILED_FIRST, FAILED_LONGEST = MINUTE, 2 * HOUR
# Rows created together must not always be checked together.
JITTER = 0.2


def delay(
    findings: Iterable[Finding], *, age: datetime.timedelta, streak: int, failures: int, dice: random.Random
) -> datetime.timedelta:
    """Return how long to wait after a check.

    `age`: since the row was made; `streak`: checks in a row with the same result; `failures`: checks in a row that the
    resolver failed; both count this one. The wait doubles with each.
    """
    findings = list(findings)
    if any(each.is_failure for each in findings):
        wait = _doubled(FAILED_FIRST, failures, FAILED_LONGEST)
    elif all(each.is_moot or each.status == DNSStatus.OK for each in findings):
        wait = _doubled(STABLE_FIRST, streak, STABLE_LONGEST)
    elif age < FRESH:
        wait = FRESH_DELAY
    else:
        wait = _doubled(WRONG_FIRST, streak, WRONG_LONGEST)
    return wait * dice.uniform(1 - JITTER, 1 + JITTER)


def _doubled(first: datetime.timedelta, times: int, longest: datetime.timedelta) -> datetime.timedelta:
    # Beyond 2 ** 20 minutes the longest wait is reached whatever the first was.
    doublings = min(max(times - 1, 0), 20)
    return min(first * (1 << doublings), longest)
