"""Beat's record of when each task was last sent, which tolerates clocks that were wrong.

A moment in the past makes a task due at once, and once: that is right after a time without beat. A moment in the future (the
machine's clock was ahead, or was set back) would keep a task from running until then, and nothing would tell.
"""

import datetime
import time
from pathlib import Path
from typing import Any

import structlog
from celery.beat import PersistentScheduler

logger = structlog.get_logger(__name__)

# A clock that is corrected by a little, as time servers do, is nothing to run everything again for.
TOLERATED = datetime.timedelta(seconds=10)
# Longer ago than any task's interval: it is due.
LONG_AGO = datetime.timedelta(days=32)


class Schedule(PersistentScheduler):
    """Celery's schedule, without last runs in the future."""

    _clocks_apart: float | None = None

    def setup_schedule(self) -> None:
        """Read the stored schedule, and create its folder."""
        Path(self.schedule_filename).parent.mkdir(parents=True, exist_ok=True)
        super().setup_schedule()
        self.forget_the_future()

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send what is due and return seconds until the next look; look at everything anew where the clock was set."""
        apart = time.time() - time.monotonic()
        if self._clocks_apart is not None and abs(apart - self._clocks_apart) > TOLERATED.total_seconds():
            logger.warning("clock_was_set", seconds=round(apart - self._clocks_apart))
            self.forget_the_future()
            # It is ordered by moments of the old clock.
            self._heap = None
        self._clocks_apart = apart
        return super().tick(*args, **kwargs)

    def forget_the_future(self) -> None:
        """Make tasks due at once whose last run is in the future."""
        for entry in self.schedule.values():
            now = entry.default_now()
            if entry.last_run_at is not None and entry.last_run_at > now + TOLERATED:
                logger.warning("last_run_in_the_future", task=entry.name, last_run_at=entry.last_run_at.isoformat())
                entry.last_run_at = now - LONG_AGO
