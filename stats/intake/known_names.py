"""The numbers of names that were met before: of senders, their domains, and recipients' domains.

A number never changes and a name is never deleted, so that these may be kept for longer than what else a Directory knows: a
collector that sends events every second names the same senders again and again.
"""

import datetime
import threading
import time
from dataclasses import dataclass, field

from stats.counts import buckets
from stats.intake.numbering import Name

# Names that go beyond a day's allowance share a number until the day is over, and a database may be restored.
SECONDS_KEPT = 60
# Names of one sort in memory: some 45 MB.
MOST_REMEMBERED = 150_000

# A mailbox as written, None for none; together with a domain where the event names one.
type SenderKey = str | None | tuple[str | None, str]
# The ids of domain and sender, why the event is refused, what it is warned of.
type KnownSender = tuple[int, int, str, str]


@dataclass(slots=True)
class KnownNames:
    """Names by server (0: of the platform). Only ever added to: several threads may share one."""

    senders: dict[int, dict[SenderKey, KnownSender]] = field(default_factory=dict)
    domains: dict[Name, int] = field(default_factory=dict)
    recipients: dict[Name, int] = field(default_factory=dict)

    def is_large(self) -> bool:
        """Whether it is time to begin anew, so that a run of any length takes bounded memory."""
        senders = sum(map(len, list(self.senders.values())))
        return max(senders, len(self.domains), len(self.recipients)) > MOST_REMEMBERED


@dataclass(slots=True)
class _Kept:
    names: KnownNames
    day: int
    until: float


_lock = threading.Lock()
_kept: _Kept | None = None


def of_this_process(now: datetime.datetime) -> KnownNames:
    """Return the names that this process has met in the last minute.

    Not for those who store within a transaction of their own: what it numbers may be rolled back.
    """
    global _kept
    day, moment = buckets.day_of(now), time.monotonic()
    with _lock:
        if _kept is None or _kept.day != day or _kept.until <= moment or _kept.names.is_large():
            _kept = _Kept(KnownNames(), day, moment + SECONDS_KEPT)
        return _kept.names


def forget() -> None:
    """Begin anew, as a new process does."""
    global _kept
    with _lock:
        _kept = None
