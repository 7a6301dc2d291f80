"""The dashboard: today's counts, load of pools, delivery problems, alerts.

A page costs at most 20 queries, however large the platform is; sums over many rows are kept for some seconds (`scope`).
"""

import datetime
import statistics
from collections.abc import Sequence
from typing import Any

from django.http import HttpRequest
from django.utils import timezone

from ippools.models import IPPool
from panel import charts, pool_load
from panel.dashboard import alerts, attention, first_steps, limits
from panel.dashboard.attention import Load, change_url
from panel.dashboard.scope import Scope, pools_with_addresses, scope_of
from panel.explorer import links
from panel.viewer import viewer_of
from stats.counts import buckets
from stats.reports import queries, recent, reputation
from stats.reports.queries import Point
from stats.reports.reader import COLUMNS, ZERO, Counts
from stats.reports.reputation import NOTHING, Attempts

# The number of days of loads, busiest servers and reputation, including today.
DAYS = pool_load.DAYS
BUSIEST = 8
MOST_POOLS = 12
MOST_ADDRESSES = 14
MOST_PROVIDERS = 8


def context(request: HttpRequest, given: dict[str, Any]) -> dict[str, Any]:
    """Return the dashboard's context; unfold calls it (DASHBOARD_CALLBACK)."""
    now = timezone.now()
    scope, viewer = scope_of(request), viewer_of(request)
    sums = scope.cached("front", lambda: _sums(scope, now))
    # Where mail was counted lately, the first steps are behind one.
    steps = [] if sums["has_counts"] else first_steps.steps(scope, viewer)
    items = [
        *attention.of_silent_servers(scope),
        *attention.of_reputation(sums["cells"], sums["known"], sums["providers"], DAYS),
        *attention.of_loads(sums["loads"], DAYS),
        *(attention.of_counting(now) if viewer.is_platform else []),
        *attention.of_refusals(scope, now),
        *attention.of_records(scope),
        *limits.of_servers(scope, now),
        *limits.of_addresses(scope, now),
    ]
    order = ("bad", "warn", "note")
    return {
        **given,
        "title": "Dashboard",
        "as_of": sums["at"],
        "steps": steps,
        "has_counts": sums["has_counts"],
        **alerts.grouped_alerts(sorted(items, key=lambda item: order.index(item.level)), viewer, now),
        "today": sums["today"],
        "daily": charts.daily(sums["days"], now, explore=links.of_last_days(now, charts.DAYS)),
        "hourly": charts.hourly(sums["hours"], explore=links.of_last_hours(now, charts.HOURS)),
        "busiest": sums["busiest"],
        "loads": _bars(sums["loads"]),
        "hidden_pools": max(0, len(sums["loads"]) - MOST_POOLS),
        "grid": sums["grid"],
        "window_days": DAYS,
    }


def _sums(scope: Scope, now: datetime.datetime) -> dict[str, Any]:
    """Return all sums over many rows. Five queries, six for the platform's staff."""
    today = buckets.day_of(now)
    first = today - DAYS + 1
    days, hours = recent.of_servers(scope.server_ids, now, days=charts.DAYS, hours=2 * charts.HOURS)
    by_day = reputation.by_address_and_day(scope.address_ids, first, today)
    totals = {address: reputation.total(days.values()) for address, days in by_day.items()}
    worst = _worst(totals)
    cells, providers = reputation.by_address_and_named_provider(worst, first, today)
    known = attention.known_addresses(worst)
    return {
        "at": now,
        "days": days,
        "hours": hours[charts.HOURS :],
        "has_counts": any(point.counts != ZERO for point in days),
        "today": _today(hours, now),
        "busiest": _busiest(scope, first, today),
        "loads": _loads(scope, totals, by_day),
        "cells": cells,
        "known": known,
        "providers": providers,
        "grid": _grid(worst, cells, {pk: each.ipv4 for pk, each in known.items()}, providers, total=len(totals)),
    }


# --- Today -----------------------------------------------------------------------------------------------------------


def _today(points: Sequence[Point], now: datetime.datetime) -> list[dict[str, Any]]:
    """Return today's numbers beside yesterday's up to the same time of the (UTC) day."""
    midnight = buckets.start_of_day(buckets.day_of(now))
    today = _between(points, midnight, now)
    before = _between(points, midnight - datetime.timedelta(days=1), now - datetime.timedelta(days=1))
    rows = []
    for name, word, _ in charts.SERIES:
        number, past = round(getattr(today, name)), round(getattr(before, name))
        change = _change(number, past, is_bad_news=name != "sent")
        rows.append({"name": name, "label": word, "number": f"{number:,}", **change})
    share, past_share = reputation.accepted_share(today), reputation.accepted_share(before)
    rows.append({"name": "share", "label": "Accepted", **_share_change(share, past_share)})
    return rows


def _between(points: Sequence[Point], start: datetime.datetime, end: datetime.datetime) -> Counts:
    """Add up whole hours, and the share of the hour of `end`: yesterday's counts have no finer grain.

    Of the current hour everything has happened already.
    """
    found = ZERO
    for point in points:
        if start <= point.at < end:
            part = min(1.0, (end - point.at) / datetime.timedelta(hours=1))
            whole = point is points[-1]
            found += point.counts if whole else _part(point.counts, part)
    return found


def _part(counts: Counts, part: float) -> Counts:
    return Counts(**{name: round(getattr(counts, name) * part) for name in COLUMNS})


def _change(number: int, past: int, *, is_bad_news: bool) -> dict[str, Any]:
    """Compare a number with yesterday's. More or less mail is neutral; more failures are bad."""
    words = f"{past:,} by now yesterday"
    if not past:
        return {"change": words, "icon": "trending_up" if number else "trending_flat", "tone": "even"}
    percent = (number - past) * 100 / past
    if abs(percent) < 1:
        return {"change": words, "icon": "trending_flat", "tone": "even"}
    tone = "even" if not is_bad_news or abs(percent) < 5 else "bad" if percent > 0 else "good"
    more = f"{number / past:.1f}×" if percent >= 200 else f"{percent:+.0f} %".replace("-", "−")
    return {
        "change": f"{more}, {words}", "icon": "trending_up" if percent > 0 else "trending_down", "tone": tone
    }  # fmt: skip


def _share_change(share: float | None, past: float | None) -> dict[str, Any]:
    if share is None:
        return {"number": "–", "change": "no attempts today", "icon": "remove", "tone": "even"}
    number = f"{share * 100:.1f} %"
    if past is None:
        return {"number": number, "change": "of today’s attempts", "icon": "remove", "tone": "even"}
    points = (share - past) * 100
    tone = "even" if abs(points) < 0.5 else "good" if points > 0 else "bad"
    icon = "trending_flat" if abs(points) < 0.05 else "trending_up" if points > 0 else "trending_down"
    return {"number": number, "change": f"{past * 100:.1f} % yesterday", "icon": icon, "tone": tone}


# --- Servers and pools -----------------------------------------------------------------------------------------------


def _busiest(scope: Scope, first: int, last: int) -> list[dict[str, Any]]:
    ranked = queries.busiest_named_servers(scope.server_ids, first, last, limit=BUSIEST)
    most = max((each.counts.sent for each in ranked), default=0)
    return [
        {
            "url": change_url("servers.server", each.server_id),
            "name": each.name,
            "organization": each.organization,
            "is_deleted": each.is_deleted,
            "sent": each.counts.sent,
            "width": _width(each.counts.sent, most),
            **charts.shown_share(each.counts),
        }
        for each in ranked
    ]


def _loads(scope: Scope, totals: dict[int, Attempts], by_day: reputation.ByDay) -> list[Load]:
    """Return the pools with the most messages per address first. An address in two pools counts in both."""
    pools = pools_with_addresses(IPPool.objects.all()) if scope.pools is None else scope.pools
    means = {pk: pool_load.per_address(pool.address_ids, by_day) for pk, pool in pools.items()}
    median = statistics.median([mean for mean in means.values() if mean] or [0.0])
    loads = [
        Load(
            pool_id=pk,
            name=pool.name,
            addresses=len(pool.address_ids),
            sent=sum(totals.get(each, NOTHING).sent for each in pool.address_ids),
            per_address=means[pk],
            times_median=means[pk] / median if median else 0.0,
        )
        for pk, pool in pools.items()
    ]
    return sorted(loads, key=lambda load: (-load.per_address, load.pool_id))


def _bars(loads: Sequence[Load]) -> list[dict[str, Any]]:
    most = max((load.per_address for load in loads), default=0.0)
    return [
        {
            "url": change_url("ippools.ippool", load.pool_id),
            "name": load.name,
            "addresses": load.addresses,
            "sent": load.sent,
            "per_address": round(load.per_address),
            "width": _width(load.per_address, most),
            "tone": "bad" if load.times_median >= attention.UNEVEN else "even",
        }
        for load in loads[:MOST_POOLS]
    ]


def _width(number: float, most: float) -> str:
    return f"{number * 100 / most:.1f}%" if most else "0%"


# --- Addresses and providers -----------------------------------------------------------------------------------------


def _worst(totals: dict[int, Attempts]) -> list[int]:
    """Return the addresses with the lowest acceptance, of those with enough attempts."""
    shares = {
        address: share
        for address, counts in totals.items()
        if (share := reputation.accepted_share(counts)) is not None
        and counts.sent + counts.deferred + counts.bounced >= attention.LEAST_ATTEMPTS
    }
    return sorted(shares, key=lambda address: (shares[address], address))[:MOST_ADDRESSES]


def _grid(
    worst: Sequence[int],
    cells: dict[int, dict[int, Counts]],
    labels: dict[int, str],
    providers: dict[int, str],
    *,
    total: int,
) -> dict[str, Any]:
    """Return rows of addresses and columns of providers, the providers with most mail first and all others last."""
    sums: dict[int, int] = {}
    for row in cells.values():
        for provider, counts in row.items():
            sums[provider] = sums.get(provider, 0) + counts.sent + counts.deferred + counts.bounced
    known = sorted((each for each in sums if each), key=lambda each: (-sums[each], each))[:MOST_PROVIDERS]
    columns = known + ([0] if 0 in sums else [])
    rows = []
    for address in worst:
        # An address that was deleted has counts, but no page.
        if address in labels:
            url = change_url("ippools.ipaddress", address)
            shown = [
                {
                    "provider": providers.get(provider, queries.OTHER_PROVIDERS),
                    "url": f"{url}#{charts.slug(providers.get(provider, queries.OTHER_PROVIDERS))}",
                    "counts": cells.get(address, {}).get(provider, ZERO),
                    **charts.shown_share(cells.get(address, {}).get(provider, ZERO)),
                }
                for provider in columns
            ]
            rows.append({"label": labels[address], "url": url, "cells": shown})
    names = [providers.get(provider, queries.OTHER_PROVIDERS) if provider else "Others" for provider in columns]
    return {"columns": names, "rows": rows, "total": total}
