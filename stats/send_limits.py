"""Send limits act: from the counts of what was sent to marks of the limits that are approached or reached.

Counts are exact (each event once), and so is the decision; what happened between the last count and the node's obeying is the
node's to bound, where it can count for itself (docs/closed-loop.md).
"""

import datetime
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Q

from core import sql_lists
from core.audit import Actor
from core.locks import advisory
from servers import send_limits
from servers.models import SendLimitMark, Server
from servers.send_limits import Level, Period, Usage
from stats.counts import buckets
from stats.counts.buckets import Grain
from stats.models import ServerCount
from webhooks import limit_events
from webhooks.tasks import request_delivery

SYSTEM = Actor.system()


@dataclass(frozen=True, slots=True)
class Decided:
    """How many servers with limits a decision looked at, and what it changed."""

    looked_at: int = 0
    began: int = 0
    ended: int = 0


def usage(servers: Collection[Server], now: datetime.datetime) -> dict[int, list[Usage]]:
    """Return how much of their limits servers have used, by server: the hour's first. One query, none without limits."""
    limited = {server.pk: found for server in servers if (found := send_limits.limits_of(server))}
    if not limited:
        return {}
    sent = _sent(limited, now)
    ends = {period: send_limits.period_bounds(period, now)[1] for period in send_limits.FIELDS}
    return {
        pk: [Usage(period, limit, sent.get((pk, period), 0), ends[period]) for period, limit in limits.items()]
        for pk, limits in limited.items()
    }


def decide(*, now: datetime.datetime) -> Decided:
    """Bring the marks to what has been sent. Deciders follow one another; deciding again at once changes nothing."""
    has_limit = Q()
    for field in send_limits.FIELDS.values():
        has_limit |= Q(**{f"{field}__isnull": False})
    with transaction.atomic():
        advisory("stats.send_limits")
        servers = list(Server.objects.living().filter(has_limit).select_related("organization").order_by("pk"))
        used = {(pk, each.period): each for pk, found in usage(servers, now).items() for each in found}
        marks = {
            (mark.server_id, mark.period, mark.level): mark
            for mark in SendLimitMark.objects.filter(ended_at=None).select_related("server").order_by("pk")
        }
        ended = 0
        for key, mark in marks.items():
            found = used.get(key[:2])
            # A new period, no such limit any more, or (after it was raised) not so near to it.
            if mark.until <= now or found is None or mark.level not in _levels(found):
                send_limits.end(mark, at=now, actor=SYSTEM)
                ended += 1
        held = {key for key, mark in marks.items() if mark.ended_at is None}
        begun = [
            send_limits.begin(server, level, found, at=now, actor=SYSTEM)
            for server in servers
            for period in send_limits.FIELDS
            if (found := used.get((server.pk, period))) is not None
            for level in _levels(found)
            if (server.pk, period, level) not in held
        ]
        if limit_events.announce(begun, now=now):
            transaction.on_commit(request_delivery)
        return Decided(len(servers), len(begun), ended)


def _levels(found: Usage) -> tuple[Level, ...]:
    """Return which marks hold: what is reached was approached before, but a limit of 0."""
    if found.level != Level.EXCEEDED:
        return (found.level,) if found.level else ()
    return (Level.APPROACHING, Level.EXCEEDED) if found.limit else (Level.EXCEEDED,)


def _sent(server_ids: Collection[int], now: datetime.datetime) -> Mapping[tuple[int, str], int]:
    today = now.astimezone(datetime.UTC).date()
    current = (
        Q(grain=Grain.HOUR, bucket=buckets.hour_of(now))
        | Q(grain=Grain.DAY, bucket=buckets.day_of(now))
        | Q(grain=Grain.MONTH, bucket=buckets.month_number(today))
    )
    period_of = {Grain.HOUR: Period.HOUR.value, Grain.DAY: Period.DAY.value, Grain.MONTH: Period.MONTH.value}
    rows = ServerCount.objects.filter(current, server_id__in=sql_lists.ids(server_ids))
    return {(pk, period_of[Grain(grain)]): sent for pk, grain, sent in rows.values_list("server_id", "grain", "sent")}
