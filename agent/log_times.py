"""Parses the times of log lines, which can lack the year and the time zone. Standard library only, Python 3.9."""

from __future__ import annotations

import bisect
import datetime
import functools
import re
from collections.abc import Callable
from typing import Any

_DIGITS = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz"
_BASE_52 = {digit: number for number, digit in enumerate(_DIGITS)}
_MONTHS = {
    name: n
    for n, name in enumerate(["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"], 1)
}
_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))? ?(?:([Zz])|([+-])(\d\d):?(\d\d))?", re.ASCII
)
_SECONDS = re.compile(r"\d{10}\.\d{1,9}", re.ASCII)
_EPOCH = datetime.date(1970, 1, 1).toordinal()
DAY = 86400
# Of the calendar, with a day at each end: the years 1 and 9999.
_LEAST, _MOST = (1 - _EPOCH + 1) * DAY, (datetime.date.max.toordinal() - _EPOCH - 1) * DAY
YEAR = 366 * DAY
# A log is not read long before it is written, but the time of reading may have been told days ago.
AHEAD = 30 * DAY
# A clock may be set back a little between the making of a queue id and its line.
SLACK = 2
ZONE_SLACK = 900
_MOST_CACHED = 4096


class BadStamp(ValueError):
    """The text is not a time."""


class Times:
    """Finds the moments of stamps, as seconds since 1970. `clock` is the latest so far: it tells the year of what follows.

    It does not follow a line from the future, which a machine with a wrong clock wrote: what comes after would be of that year.

    `arrival_of` returns when the message of an id arrived, None where the id does not say it.
    """

    def __init__(
        self,
        time_zone: str,
        now: float,
        clock: float | None,
        arrival_of: Callable[[str], float | None] | None = None,
    ) -> None:
        self._arrival = arrival_of or arrival
        self.zone: datetime.tzinfo | None = None
        if time_zone and time_zone != "UTC":
            import zoneinfo

            self.zone = zoneinfo.ZoneInfo(time_zone)
        self.now = now
        self.clock = clock
        self._exact: dict[str, float] = {}
        self._candidates: dict[tuple[str, float], list[float]] = {}
        self._texts: dict[float, str] = {}

    def of(self, stamp: str, qid: str = "") -> float:
        """Return the moment of a stamp. A long queue id says when the message arrived, which is not after the moment."""
        if stamp[0].isdigit():
            moment = self._exact.get(stamp)
            if moment is None:
                moment = self._written(stamp, qid)
        else:
            arrived = self._arrival(qid)
            about = arrived or self.clock or self.now
            key = stamp, about // YEAR
            moments = self._candidates.get(key)
            if moments is None:
                moments = self._guesses(stamp, about)
                if not moments:
                    raise BadStamp(stamp)
                _keep(self._candidates, key, moments)
            moment = self._nearest(moments) if arrived is None else _first_after(moments, arrived)
        if (self.clock is None or moment > self.clock) and not self.is_ahead(moment):
            self.clock = moment
        return moment

    def is_ahead(self, moment: float) -> bool:
        """Return whether the moment is far in the future; of a reader that does not know the time, none is."""
        return 0 < self.now < moment - AHEAD

    def _written(self, stamp: str, qid: str) -> float:
        """Return the moment of a stamp with a year, or of seconds since 1970."""
        if _SECONDS.fullmatch(stamp):
            # Ten digits: not after the year 2286.
            return int(float(stamp) * 1000) / 1000
        moments = moments_of(stamp, self.zone)
        if not moments:
            raise BadStamp(stamp)
        if len(moments) > 1:
            # By the message and not by the clock: read again, a line must mean the same moment.
            arrived = self._arrival(qid)
            return moments[0] if arrived is None else _first_after(moments, arrived)
        _keep(self._exact, stamp, moments[0])
        return moments[0]

    def zone_off(self, at: float, qid: str) -> int:
        """Return the seconds between a line's time and its queue id's, where they say that the zone is wrong; else 0."""
        arrived = arrival(qid)
        off = 0 if arrived is None else round(at - arrived)
        return off if abs(off) > ZONE_SLACK else 0

    def text(self, at: float) -> str:
        """Return the moment in RFC 3339, to the millisecond."""
        text = self._texts.get(at)
        if text is None:
            text = rfc3339(at)
            _keep(self._texts, at, text)
        return text

    def _guesses(self, stamp: str, about: float) -> list[float]:
        """Return the moments that a stamp without a year may mean: one a year, two in the hour that autumn repeats."""
        month, day = _MONTHS.get(stamp[:3], 0), int(stamp[4:6])
        hour, minute, second = int(stamp[7:9]), int(stamp[10:12]), min(int(stamp[13:15]), 59)
        # Four years back there is a 29 February, mostly.
        around = datetime.datetime.fromtimestamp(about, datetime.timezone.utc).year
        moments: list[float] = []
        for year in range(around - 5, around + 3):
            try:
                local = datetime.datetime(year, month, day, hour, minute, second)  # noqa: DTZ001 - local time
            except ValueError:
                # 29 February, or no date at all.
                continue
            moments += utc(local, self.zone)
        return sorted(set(moments))

    def _nearest(self, moments: list[float]) -> float:
        """Return the moment next to the last one of the log; of its first, the last one that is past.

        Of the two in the hour that autumn repeats it is always the first: by the clock, a line that is read again could mean
        the other, and be another event.
        """
        moments = [each for before, each in zip([0.0, *moments], moments) if each - before > DAY]
        clock = self.clock
        if clock is None:
            return next((each for each in reversed(moments) if each <= self.now + DAY), moments[0])
        # Where the time of reading is known, nothing is after it.
        end = self.now + DAY if self.now + DAY > clock else clock + YEAR
        return min([each for each in moments if each <= end] or moments, key=lambda each: abs(each - clock))


def _first_after(moments: list[float], arrived: float) -> float:
    """Return the first moment that is not before the message's arrival."""
    number = bisect.bisect_left(moments, arrived - SLACK)
    if number == len(moments):
        return moments[-1]
    moment = moments[number]
    # With a zone that is wrong by hours the line seems to come before the message: not a year later.
    if moment - arrived > 300 * DAY and number and arrived - moments[number - 1] < 26 * 3600:
        return moments[number - 1]
    return moment


def _keep(cache: dict[Any, Any], key: Any, value: Any) -> None:
    if len(cache) >= _MOST_CACHED:
        cache.clear()
    cache[key] = value


# Some five lines in a row are of one message.
@functools.lru_cache(4096)
def arrival(qid: str) -> float | None:
    """Return when the message of a long queue id arrived; None for a short one."""
    if len(qid) < 12 or qid[10] != "z":
        return None
    seconds = micros = 0
    try:
        for c in qid[:6]:
            seconds = seconds * 52 + _BASE_52[c]
        for c in qid[6:10]:
            micros = micros * 52 + _BASE_52[c]
    except KeyError:
        return None
    # Postfix has had long ids since 2011: an earlier time is not one.
    return seconds + micros / 1e6 if 1.2e9 < seconds < 4.2e9 else None


def moments_of(stamp: str, zone: datetime.tzinfo | None) -> list[float]:
    """Return the moments that an ISO 8601 stamp may mean, cut off at milliseconds: one, none for what is no stamp.

    One without an offset is in `zone` (None: UTC), where it may mean two in the hour that autumn repeats.
    """
    match = _ISO.fullmatch(stamp)
    if match is None:
        return []
    year, month, day, hour, minute, second = map(int, match.group(1, 2, 3, 4, 5, 6))
    millis = int((match[7] or "0").ljust(3, "0")[:3])
    try:
        local = datetime.datetime(year, month, day, hour, minute, min(second, 59))  # noqa: DTZ001 - local time
    except ValueError:
        return []
    if match[8]:
        bases = [float(_seconds(local))]
    elif match[9]:
        if int(match[10]) > 23 or int(match[11]) > 59:
            return []
        offset = int(match[10]) * 3600 + int(match[11]) * 60
        bases = [float(_seconds(local) - (offset if match[9] == "+" else -offset))]
    else:
        bases = utc(local, zone)
    # An offset can lead out of the calendar.
    bases = [base for base in bases if _LEAST <= base <= _MOST]
    return [base + millis / 1000 for base in bases] if millis else bases


def utc(local: datetime.datetime, zone: datetime.tzinfo | None) -> list[float]:
    """Return the moments that a local time may mean: one, or two in the hour that is repeated."""
    if zone is None:
        return [_seconds(local)]
    offsets = [local.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1)]
    return sorted({_seconds(local) - int(offset.total_seconds()) for offset in offsets if offset is not None})


def rfc3339(at: float) -> str:
    """Return a moment as RFC 3339 says it, in UTC, to the millisecond."""
    millis = round(at * 1000)
    moment = datetime.datetime.fromtimestamp(millis // 1000, datetime.timezone.utc)
    return f"{moment.strftime('%Y-%m-%dT%H:%M:%S')}.{millis % 1000:03d}Z"


def _seconds(local: datetime.datetime) -> int:
    return (local.toordinal() - _EPOCH) * DAY + local.hour * 3600 + local.minute * 60 + local.second
