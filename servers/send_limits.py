"""Send limits of servers: what they are, and marks for those that are approached or reached.

Limits count messages sent in the UTC hour, day and month. What was sent is counted elsewhere (`stats.send_limits`);
here are the acts on marks, and what nodes, pages and webhooks read of them.
"""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass

from django.db.models import Q, QuerySet

from core.audit import Actor, record
from core.errors import Fault, Invalid
from servers.models import SendLimitMark, Server

# The columns are 32-bit integers.
HIGHEST = 2**31 - 1
Period = SendLimitMark.Period
Level = SendLimitMark.Level
# Which column of a server holds the limit of a period; None there: no limit.
FIELDS: Mapping[str, str] = {
    Period.HOUR.value: "send_limit",
    Period.DAY.value: "send_limit_a_day",
    Period.MONTH.value: "send_limit_a_month",
}
# Percent of a limit from which it is approached.
WARNING = 90


@dataclass(frozen=True, slots=True)
class Usage:
    """How much of one limit a server has used in the period that ends at `until`."""

    period: str
    limit: int
    sent: int
    until: datetime.datetime

    @property
    def level(self) -> Level | None:
        """Return whether the limit is approached or reached; None: neither. A limit of 0 is always reached."""
        if self.sent >= self.limit:
            return Level.EXCEEDED
        return Level.APPROACHING if 100 * self.sent >= WARNING * self.limit else None

    @property
    def percent(self) -> int:
        """Return the used share in whole percent, rounded down."""
        return 100 * self.sent // self.limit if self.limit else 100


def check(changes: Mapping[str, object]) -> None:
    """Raise Invalid where one of the limits among these changes is none."""
    faults = [
        Fault(field, f"must be from 0 to {HIGHEST}")
        for field in FIELDS.values()
        if isinstance(limit := changes.get(field), int) and not 0 <= limit <= HIGHEST
    ]
    if faults:
        raise Invalid(*faults)


def limits_of(server: Server) -> dict[str, int]:
    """Return the limits that a server has, by period."""
    found = {period: getattr(server, field) for period, field in FIELDS.items()}
    return {period: limit for period, limit in found.items() if limit is not None}


def period_bounds(period: str, at: datetime.datetime) -> tuple[datetime.datetime, datetime.datetime]:
    """Return when the UTC hour, day or month of a time begins, and when the next one does."""
    at = at.astimezone(datetime.UTC).replace(minute=0, second=0, microsecond=0)
    if period == Period.HOUR:
        return at, at + datetime.timedelta(hours=1)
    at = at.replace(hour=0)
    if period == Period.DAY:
        return at, at + datetime.timedelta(days=1)
    first = at.replace(day=1)
    return first, (first + datetime.timedelta(days=32)).replace(day=1)


def begin(server: Server, level: Level, usage: Usage, *, at: datetime.datetime, actor: Actor) -> SendLimitMark:
    """Mark that a limit is approached or reached, and record it for the server's organization."""
    mark = SendLimitMark.objects.create(
        server=server,
        period=usage.period,
        level=level,
        limit=usage.limit,
        sent=usage.sent,
        began_at=at,
        until=usage.until,
    )
    is_reached = level == Level.EXCEEDED
    act = "server.send_limit_reached" if is_reached else "server.send_limit_approached"
    _record(mark, server, act, actor, None, sentence(mark))
    return mark


def end(mark: SendLimitMark, *, at: datetime.datetime, actor: Actor) -> None:
    """End a mark: at the end of its period, which is no news for the trail, or before."""
    mark.ended_at = min(at, mark.until)
    mark.save(update_fields=["ended_at"])
    if at < mark.until and mark.level == Level.EXCEEDED:
        _record(mark, mark.server, "server.send_limit_released", actor, sentence(mark), None)


def marked(*, at: datetime.datetime) -> QuerySet[SendLimitMark]:
    """Return the marks of living servers that hold at this time, with servers and organizations: the last to end first."""
    found = SendLimitMark.objects.active(at).filter(server__deleted_at=None)
    return found.select_related("server__organization").order_by("server_id", "-until", "-level")


def since(at: datetime.datetime) -> list[SendLimitMark]:
    """Return the marks that began or ended at this time or later, in the order in which they began; for webhooks."""
    changed = SendLimitMark.objects.filter(Q(began_at__gte=at) | Q(ended_at__gte=at))
    return list(changed.select_related("server__organization").order_by("began_at", "pk"))


def sentence(mark: SendLimitMark) -> str:
    """Return what a mark says: "reached: 5,000 messages an hour; mail is deferred until 14:00 UTC"."""
    limit = f"{mark.limit:,} messages {mark.get_period_display()}"
    if mark.level == Level.EXCEEDED:
        return f"reached: {limit}; mail is deferred until {clock(mark.until)}"
    return f"approaching: {mark.sent:,} of {limit} sent"


def clock(at: datetime.datetime) -> str:
    """Return a time in UTC as nodes and the trail say it: "14:00 UTC", with its date at midnight."""
    at = at.astimezone(datetime.UTC)
    return f"{at:%H:%M} UTC" if at.hour or at.minute else f"{at:%H:%M} UTC on {at.day} {at:%B}"


def _record(mark: SendLimitMark, server: Server, act: str, actor: Actor, before: str | None, after: str | None) -> None:
    record(
        actor=actor,
        act=act,
        target=server,
        before={"send_limit_use": before},
        after={"send_limit_use": after},
        organization_id=server.organization_id,
    )
