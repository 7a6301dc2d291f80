"""Beat's schedule: sent by the leader of all beats, from where the last leader stopped, and tolerant of clocks that were wrong.

A last run in the past makes a task due at once, and once: that is right after a time without beat. One in the future (the
machine's clock was ahead, or was set back) would keep a task from running until then, and nothing would tell.

A run is noted right after its message is sent. A leader that dies between the two has sent a message that the next one sends
again: tasks may run twice, and none is lost.

What deletes by age is not sent while the clock may be wrong (`config/steady_clock.py`).
"""

import datetime
import time
from pathlib import Path
from typing import Any

import structlog
from celery.beat import ScheduleEntry, Scheduler
from django.conf import settings

from config.celery import DELETING
from config.last_runs import InFile, InRedis, LastRuns
from config.leader import ASKED_EVERY, DatabaseLock, FileLock, Lock
from config.steady_clock import SteadyClock

logger = structlog.get_logger(__name__)

# A clock that is corrected by a little, as time servers do, is nothing to run everything again for.
TOLERATED = datetime.timedelta(seconds=10)
# Longer ago than any task's interval: it is due.
LONG_AGO = datetime.timedelta(days=32)
# Seconds after which a beat that is not the leader asks again.
STANDING_BY = 5


class Schedule(Scheduler):
    """Celery's schedule, for several beats of which one sends, without last runs in the future."""

    _clocks_apart: float | None = None
    _stands_by = False

    def __init__(self, *args: Any, schedule_filename: str, **kwargs: Any) -> None:
        self.memory: LastRuns
        self.lock: Lock
        self.memory, self.lock = self.shared(Path(schedule_filename))
        self.clock = SteadyClock(self.memory)
        super().__init__(*args, **kwargs)

    @staticmethod
    def shared(path: Path) -> tuple[LastRuns, Lock]:
        """Return what all beats of the installation share; embedded: beside this file."""
        if settings.IS_PRODUCTION:
            return InRedis(settings.REDIS_URL), DatabaseLock("beat")
        return InFile(path.with_suffix(".json")), FileLock(path.with_suffix(".lock"))

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send what is due and return seconds until the next look; send nothing where another beat is the leader.

        Everything is looked at anew where the clock was set.
        """
        if not (self.lock.is_held() or self.take_over()):
            return STANDING_BY
        apart = time.time() - time.monotonic()
        if self._clocks_apart is not None and abs(apart - self._clocks_apart) > TOLERATED.total_seconds():
            logger.warning("clock_was_set", seconds=round(apart - self._clocks_apart))
            self.forget_the_future()
        self._clocks_apart = apart
        self.clock.look(self.app.now())
        return min(super().tick(*args, **kwargs), ASKED_EVERY)

    def take_over(self) -> bool:
        """Become the leader, if there is none, and go on where the last one stopped."""
        if not self.lock.take():
            if not self._stands_by:
                logger.info("beat_stands_by")
            self._stands_by = True
            return False
        self._stands_by = False
        logger.info("beat_leads")
        known = self.memory.read()
        self.clock.go_on(known)
        for name, entry in self.schedule.items():
            if name in known:
                entry.last_run_at = known[name]
        # A task that is new is counted from now, whichever beat leads when its moment comes.
        self.memory.write({name: each.last_run_at for name, each in self.schedule.items() if name not in known})
        self.forget_the_future()
        return True

    def apply_entry(self, entry: ScheduleEntry, producer: Any = None) -> None:
        """Send the task's message and note the run; of a deletion while the clock may be wrong, only the latter."""
        if entry.name not in DELETING or self.clock.is_steady(entry.default_now()):
            super().apply_entry(entry, producer=producer)
        self.memory.write({entry.name: self.schedule[entry.name].last_run_at})

    def forget_the_future(self) -> None:
        """Make tasks due at once whose last run is in the future."""
        for entry in self.schedule.values():
            now = entry.default_now()
            if entry.last_run_at > now + TOLERATED:
                logger.warning("last_run_in_the_future", task=entry.name, last_run_at=entry.last_run_at.isoformat())
                entry.last_run_at = now - LONG_AGO
        # It is ordered by moments of before.
        self._heap = None

    def close(self) -> None:
        """Let another beat lead."""
        super().close()
        self.lock.release()
