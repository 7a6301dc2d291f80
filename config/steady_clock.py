"""Whether the clock may decide what is old enough to be deleted.

To a clock that is a year ahead everything is old: events (whose days then take no more), suppressions, sessions, counts. A
clock that was right jumps by no more than the time that no beat ran. So what is deleted by its age waits for a day after a
jump by more than a week, forward or back; a smaller one deletes by as much earlier what goes anyway.
"""

import datetime

import structlog

from config.last_runs import LastRuns

logger = structlog.get_logger(__name__)

JUMP = datetime.timedelta(days=7)
STEADY_AFTER = datetime.timedelta(days=1)
# What a beat on another machine, or after a restart, goes on from is written this often.
NOTED_EVERY = datetime.timedelta(minutes=1)
# Beside the names of tasks.
SEEN, STEADY_SINCE = "(clock: seen)", "(clock: steady since)"


class SteadyClock:
    """The clock as the beats that led saw it. One that was never seen is not steady yet."""

    def __init__(self, memory: LastRuns) -> None:
        self._memory = memory
        self._seen: datetime.datetime | None = None
        self._noted: datetime.datetime | None = None
        self._since = datetime.datetime.max.replace(tzinfo=datetime.UTC)

    def go_on(self, known: dict[str, datetime.datetime]) -> None:
        """Go on from what the last leader noted."""
        self._seen = self._noted = None
        if SEEN in known and STEADY_SINCE in known:
            self._seen, self._since = known[SEEN], known[STEADY_SINCE]

    def look(self, now: datetime.datetime) -> None:
        """Take note of the time."""
        jumped = None if self._seen is None else now - self._seen
        if jumped is None or abs(jumped) > JUMP:
            self._since, self._noted = now, None
            if jumped is not None:
                logger.error("deletion_waits_for_the_clock", jumped_by_seconds=round(jumped.total_seconds()))
        elif jumped < datetime.timedelta(0):
            # Set back by a little: it has been steady for as long as before.
            self._since += jumped
        self._seen = now
        if self._noted is None or abs(now - self._noted) >= NOTED_EVERY:
            self._memory.write({SEEN: now, STEADY_SINCE: self._since})
            self._noted = now

    def is_steady(self, now: datetime.datetime) -> bool:
        """Return whether it has gone for a day without a jump."""
        return now - self._since >= STEADY_AFTER
