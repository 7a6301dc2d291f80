"""Retries of a delivery, and pauses between calls of a webhook. Plain functions."""

import datetime
import random

# Between attempts: doubled from the first to the longest, each up to a fifth shorter or longer.
FIRST_WAIT = datetime.timedelta(seconds=30)
LONGEST_WAIT = datetime.timedelta(hours=6)
JITTER = 0.2
# Failed attempts in a row after which calls are held back.
TOLERATED = 10
# Between single calls of a webhook that is held back.
FIRST_TRIAL = datetime.timedelta(minutes=1)
LONGEST_TRIAL = datetime.timedelta(hours=1)


def wait(attempts: int, chance: random.Random) -> datetime.timedelta:
    """Return how long after its last attempt, one of so many, a delivery is tried again."""
    return _doubled(FIRST_WAIT, attempts - 1, LONGEST_WAIT) * chance.uniform(1 - JITTER, 1 + JITTER)


def trial_wait(failures: int, chance: random.Random) -> datetime.timedelta:
    """Return how long after the last of so many failed attempts a webhook that is held back is called again."""
    return _doubled(FIRST_TRIAL, failures - TOLERATED, LONGEST_TRIAL) * chance.uniform(1 - JITTER, 1 + JITTER)


def _doubled(first: datetime.timedelta, times: int, most: datetime.timedelta) -> datetime.timedelta:
    # Beyond some doublings it is the longest; the number itself may be large.
    return min(first * float(1 << min(max(times, 0), 20)), most)
