"""Charts of counts, as contexts for `panel/parts/charts.html`: the chart, and its values as a table.

`server_chart` and `address_chart` return what the pages of a server and of an address include.
"""

import datetime
import json
from collections.abc import Callable, Sequence
from typing import Any

from django.utils import timezone

from stats.counts import buckets
from stats.reports import queries, reputation
from stats.reports.queries import Counts, Point

DAYS = 30
HOURS = 24
# Column of the counts, its name, and the colour: custom properties of panel.css, legible on light and dark.
SERIES = (
    ("sent", "Sent", "--sluice-sent"),
    ("deferred", "Deferred", "--sluice-deferred"),
    ("bounced", "Bounced", "--sluice-bounced"),
)
# The number of days of an address's acceptance by providers.
REPUTATION_DAYS = 7
# Shares from which on cells look better; below the first they look worst.
STEPS = (0.5, 0.7, 0.85, 0.93, 0.97)
_INK = "#8a93a3"


def server_chart(server_id: int, now: datetime.datetime) -> dict[str, Any]:
    """Return the context of a server's charts: thirty days and twenty-four hours. One query."""
    detailed = queries.detailed_stats(server_id, now)
    return {"charts": [daily(detailed.daily), hourly(detailed.hourly)], "providers": None}


def address_chart(address_id: int, now: datetime.datetime) -> dict[str, Any]:
    """Return the context of an address's chart of thirty days, and of its acceptance by provider. Three queries."""
    today = buckets.day_of(now)
    points = queries.address_series([address_id], today - DAYS + 1, today)
    found = queries.providers_of_address(address_id, today - REPUTATION_DAYS + 1, today)
    rows = [
        {"name": name, "slug": slug(name), "counts": counts, **shown_share(counts)} for name, counts in found.items()
    ]
    return {"charts": [daily(points)], "providers": rows, "provider_days": REPUTATION_DAYS}


def daily(points: Sequence[Point]) -> dict[str, Any]:
    """Return the chart of some UTC days."""
    return chart(f"The last {len(points)} days", points, _day, "Day (UTC)", ticks=10)


def hourly(points: Sequence[Point]) -> dict[str, Any]:
    """Return the chart of some hours, named in the viewer's time zone."""
    return chart(f"The last {len(points)} hours", points, _hour, "Hour from", ticks=8)


def chart(
    title: str, points: Sequence[Point], label: Callable[[datetime.datetime], str], column: str, *, ticks: int
) -> dict[str, Any]:
    """Return a stacked bar chart of what was sent, deferred and bounced."""
    labels = [label(point.at) for point in points]
    values = {name: [getattr(point.counts, name) for point in points] for name, _, _ in SERIES}
    datasets = [
        {"label": word, "data": values[name], "backgroundColor": f"var({colour})", "borderRadius": 2}
        for name, word, colour in SERIES
    ]
    totals = [{"name": name, "label": word, "total": sum(values[name])} for name, word, _ in SERIES]
    return {
        "title": title,
        "column": column,
        # What a screen reader says instead of the drawing; the table beside it has all the numbers.
        "description": f"{title}: " + ", ".join(f"{each['total']:,} {each['label'].lower()}" for each in totals),
        "data": json.dumps({"labels": labels, "datasets": datasets}),
        "options": json.dumps(options(ticks)),
        "series": totals,
        "rows": [
            {"label": text, "values": [values[name][position] for name, _, _ in SERIES]}
            for position, text in enumerate(labels)
        ],
        "is_empty": not any(each["total"] for each in totals),
    }


def shown_share(counts: Counts) -> dict[str, Any]:
    """Return the accepted share as text (rounded down, so that 100 % means all) and as one of six steps for its colour."""
    share = reputation.accepted_share(counts)
    if share is None:
        return {"share": None, "text": "–", "step": "none"}
    return {"share": share, "text": f"{int(share * 100)} %", "step": str(sum(share >= each for each in STEPS))}


def slug(name: str) -> str:
    """Return the anchor of a provider's row on an address's page."""
    return "provider-" + "-".join("".join(sign if sign.isalnum() else " " for sign in name.lower()).split())


def options(ticks: int) -> dict[str, Any]:
    """All options: unfold drops its defaults for a chart with options."""
    return {
        "animation": False,
        "responsive": True,
        "maintainAspectRatio": False,
        "locale": "en-GB",
        "interaction": {"mode": "index", "intersect": False},
        "datasets": {"bar": {"categoryPercentage": 0.86, "barPercentage": 0.94, "maxBarThickness": 28}},
        "plugins": {"legend": {"display": False}, "tooltip": {"enabled": True, "boxPadding": 4}},
        "scales": {
            "x": {
                "stacked": True,
                "border": {"display": False},
                "grid": {"display": False},
                "ticks": {"color": _INK, "maxTicksLimit": ticks, "maxRotation": 0},
            },
            "y": {
                "stacked": True,
                "beginAtZero": True,
                "border": {"display": False, "dash": [3, 4]},
                "grid": {"display": True, "tickLength": 0},
                "ticks": {"color": _INK, "maxTicksLimit": 5, "precision": 0, "padding": 8},
            },
        },
    }


def _day(at: datetime.datetime) -> str:
    return f"{at:%-d %b}"


def _hour(at: datetime.datetime) -> str:
    return f"{timezone.localtime(at):%H:%M}"
