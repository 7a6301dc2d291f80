"""The dashboard: today's counts, load of pools, delivery problems, alerts.

A page costs at most 20 queries, however large the platform is; sums over many rows are kept for some seconds (`scope`).
"""

import datetime
from collections.abc import Sequence
from typing import Any

from django.http import HttpRequest
from django.utils import timezone

from alerts import conditions, measures, pool_load
from alerts.attention import UNEVEN, Load
from alerts.items import Item
from alerts.links import change_url, slug
from alerts.measures import Measures
from alerts.scope import PLATFORM, Scope
from panel import charts
from panel.dashboard import alerts, first_steps
from panel.dashboard.scope import scope_of
from panel.explorer import links
from panel.viewer import viewer_of
from servers import invitations
from stats.counts import buckets
from stats.reports import queries, recent, reputation
from stats.reports.queries import Point
from stats.reports.reader import COLUMNS, ZERO, Counts

# The number of days of loads, busiest servers and reputation, including today.
DAYS = pool_load.DAYS
BUSIEST = 8
MOST_POOLS = 12
MOST_ADDRESSES = 14
MOST_PROVIDERS = 8
MOST_INVITATIONS = 5
NOTHING_KEPT = datetime.timedelta()


def context(request: HttpRequest, given: dict[str, Any]) -> dict[str, Any]:
    """Return the dashboard's context; unfold calls it (DASHBOARD_CALLBACK)."""
    now = timezone.now()
    scope, viewer = scope_of(request), viewer_of(request)
    sums, found = _found(scope, now)
    # Where mail was counted lately, the first steps are behind one.
    steps = [] if sums["has_counts"] else first_steps.steps(scope, viewer)
    measured = sums["measured"]
    return {
        **given,
        "title": "Dashboard",
        "as_of": sums["at"],
        "steps": steps,
        "has_counts": sums["has_counts"],
        "invitations": list(invitations.of(viewer.user, at=now)[:MOST_INVITATIONS]),
        **alerts.grouped_alerts(found, viewer, now),
        "today": sums["today"],
        "daily": charts.daily(sums["days"], now, explore=links.of_last_days(now, charts.DAYS)),
        "hourly": charts.hourly(sums["hours"], explore=links.of_last_hours(now, charts.HOURS)),
        "busiest": sums["busiest"],
        "loads": _bars(measured.loads),
        "hidden_pools": max(0, len(measured.loads) - MOST_POOLS),
        "grid": sums["grid"],
        "window_days": DAYS,
    }


def keep_sums(now: datetime.datetime) -> None:
    """Add up the platform's sums and look for its alerts, so that no page waits for them where they take long."""
    _found(PLATFORM, now, is_renewed=True)


def _found(scope: Scope, now: datetime.datetime, *, is_renewed: bool = False) -> tuple[dict[str, Any], list[Item]]:
    sums = scope.cached("front_page", lambda: _sums(scope, now), is_renewed=is_renewed)
    # Looked for at each visit where that is quick, so that what was put right is gone.
    items = scope.cached(
        "conditions",
        lambda: conditions.found(scope, sums["measured"], now),
        least=NOTHING_KEPT,
        is_renewed=is_renewed,
    )
    return sums, items


def _sums(scope: Scope, now: datetime.datetime) -> dict[str, Any]:
    """Return all sums over many rows. Five queries, six for the platform's staff."""
    today = buckets.day_of(now)
    first = today - DAYS + 1
    days, hours = recent.of_servers(scope.server_ids, now, days=charts.DAYS, hours=2 * charts.HOURS)
    measured = measures.measure(scope, now, worst=MOST_ADDRESSES)
    return {
        "at": now,
        "days": days,
        "hours": hours[charts.HOURS :],
        "has_counts": any(point.counts != ZERO for point in days),
        "today": _today(hours, now),
        "busiest": _busiest(scope, first, today),
        "measured": measured,
        "grid": _grid(measured),
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
    ranked = queries.busiest_servers(scope.server_ids, first, last, limit=BUSIEST)
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
            "tone": "bad" if load.times_median >= UNEVEN else "even",
        }
        for load in loads[:MOST_POOLS]
    ]


def _width(number: float, most: float) -> str:
    return f"{number * 100 / most:.1f}%" if most else "0%"


# --- Addresses and providers -----------------------------------------------------------------------------------------


def _grid(measured: Measures) -> dict[str, Any]:
    """Return rows of addresses and columns of providers, the providers with most mail first and all others last."""
    cells, providers = measured.cells, measured.providers
    sums: dict[int, int] = {}
    for row in cells.values():
        for provider, counts in row.items():
            sums[provider] = sums.get(provider, 0) + counts.sent + counts.deferred + counts.bounced
    known = sorted((each for each in sums if each), key=lambda each: (-sums[each], each))[:MOST_PROVIDERS]
    columns = known + ([0] if 0 in sums else [])
    rows = []
    for address in measured.worst:
        # An address that was deleted has counts, but no page.
        if address in measured.known:
            url = change_url("ippools.ipaddress", address)
            shown = [
                {
                    "provider": providers.get(provider, queries.OTHER_PROVIDERS),
                    "url": f"{url}#{slug(providers.get(provider, queries.OTHER_PROVIDERS))}",
                    "counts": cells.get(address, {}).get(provider, ZERO),
                    **charts.shown_share(cells.get(address, {}).get(provider, ZERO)),
                }
                for provider in columns
            ]
            rows.append({"label": measured.known[address].ipv4, "url": url, "cells": shown})
    names = [providers.get(provider, queries.OTHER_PROVIDERS) if provider else "Others" for provider in columns]
    return {"columns": names, "rows": rows, "total": measured.addresses}
