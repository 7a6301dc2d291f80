"""Charts of counts, as contexts for `panel/parts/charts.html`: the chart, and its values as a table.

`server_chart` and `address_chart` return what the pages of a server and of an address include. `panel.js` adds what JSON
cannot say: the tooltip's last line (`notes`), and which points are named below (`ticks` where `marks` allow it).
"""

import datetime
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from django.utils import timezone
from django.utils.http import urlencode

from alerts.links import slug
from panel.explorer import links, rates
from stats.counts import buckets
from stats.counts.buckets import Grain
from stats.reports import explore, queries, reputation
from stats.reports.explore import By, NotKept, Question
from stats.reports.queries import Point
from stats.reports.reader import ZERO, Counts, sum_of

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
# Providers that are drawn; the others are in the table.
MOST_LINES = 6
LINES = (
    "--sluice-line-1",
    "--sluice-line-2",
    "--sluice-line-3",
    "--sluice-line-4",
    "--sluice-line-5",
    "--sluice-line-6",
)
# Shares from which on cells look better; below the first they look worst.
STEPS = (0.5, 0.7, 0.85, 0.93, 0.97)
_INK = "#8a93a3"


def last_event(days: Sequence[Any], hours: Sequence[Any] = ()) -> dict[str, Any] | None:
    """Return when the last events were counted, and how exactly that is known; None: not in these days."""
    for points, how in ((hours, "in the hour from then"), (days, "on that UTC day")):
        if found := [point.at for point in points if point.counts != ZERO]:
            return {"at": max(found), "how": how, "is_day": points is days}
    return None


def server_chart(server_id: int, now: datetime.datetime) -> dict[str, Any]:
    """Return the context of a server's charts: thirty days and twenty-four hours. One query."""
    detailed = queries.detailed_stats(server_id, now)
    days = links.of_last_days(now, DAYS, server=server_id)
    hours = links.of_last_hours(now, HOURS, server=server_id)
    return {
        "charts": [daily(detailed.daily, now, explore=days), hourly(detailed.hourly, explore=hours)],
        "providers": None,
        "last_event": last_event(detailed.daily, detailed.hourly),
        "totals": [rates.shown(sum_of(point.counts for point in detailed.daily), kind) for kind in rates.BESIDE],
        "totals_days": DAYS,
    }


def address_chart(address_id: int, now: datetime.datetime, *, explores: bool = False) -> dict[str, Any]:
    """Return the context of an address's chart of thirty days, and of how the providers took its mail. Three queries.

    `explores`: the viewer may ask for the counts of addresses, whoever sent by them.
    """
    today = buckets.day_of(now)
    days = range(today - DAYS + 1, today + 1)
    points = queries.address_series(address_id, days.start, today)
    found = queries.providers_by_day(address_id, days.start, today)

    explore = links.of_last_days(now, DAYS, address=address_id) if explores else ""

    def url(**asked: Any) -> str:
        return f"{explore}&{urlencode(asked)}" if explore else ""

    rows = []
    for (provider, name), by_day in found.items():
        counts = sum_of(each for day, each in by_day.items() if day > today - REPUTATION_DAYS)
        if counts != ZERO:
            way = url(provider=provider)
            rows.append({"name": name, "slug": slug(name), "counts": counts, "explore": way, **shown_share(counts)})
    rows.sort(key=lambda row: (-row["counts"].sent, row["name"]))
    return {
        "last_event": last_event(points),
        "sent_today": points[-1].counts.sent,
        "charts": [
            daily(points, now, explore=explore),
            providers_over_time(
                {name: by_day for (_, name), by_day in found.items()}, days, explore=url(group="provider")
            ),
        ],
        "providers": rows,
        "provider_days": REPUTATION_DAYS,
    }


def of_subject(only: Mapping[By, Sequence[Any]], now: datetime.datetime, **asked: Any) -> dict[str, Any]:
    """Return the context of one chart of thirty days of what `only` names, with the rates beside it. At most six queries.

    Where its counts begin later, the chart does. `asked` are the explorer's filters for the same.
    """
    today = buckets.day_of(now)
    question = Question(
        buckets.start_of_day(today - DAYS + 1), buckets.start_of_day(today + 1), Grain.DAY, datetime.UTC, only
    )
    points: list[Point] = []
    try:
        planned = explore.plan(question, now)
    except NotKept as lack:
        if lack.since is not None:
            question = replace(question, start=lack.since)
            points = [Point(*each) for each in explore.ask(explore.plan(question, now)).series]
    else:
        points = [Point(*each) for each in explore.ask(planned).series]
    days = links.of_days(buckets.day_of(question.start), today, **asked)
    whole = sum_of(point.counts for point in points)
    return {
        "charts": [daily(points, now, explore=days)],
        "providers": None,
        "totals": [rates.shown(whole, kind) for kind in rates.BESIDE],
        "totals_days": len(points),
    }


def daily(points: Sequence[Point], now: datetime.datetime | None = None, *, explore: str = "") -> dict[str, Any]:
    """Return the chart of some UTC days; the current one is said to be so far."""
    today = None if now is None else buckets.start_of_day(buckets.day_of(now))

    def label(at: datetime.datetime) -> str:
        return f"{day_name(at)}, so far" if at == today else day_name(at)

    marks = [len(points) - 1 - position for position in range(len(points))]
    ticks = [day_name(point.at) for point in points]
    return chart(f"The last {len(points)} days", points, label, "Day (UTC)", ticks, marks, explore=explore)


def hourly(points: Sequence[Point], *, explore: str = "") -> dict[str, Any]:
    """Return the chart of some hours, named in the viewer's time zone."""
    times = [timezone.localtime(point.at) for point in points]
    column = f"Hour from ({timezone.get_current_timezone_name()})"
    ticks, marks = hour_ticks(times)
    return chart(f"The last {len(points)} hours", points, _hour, column, ticks, marks, explore=explore)


def chart(
    title: str,
    points: Sequence[Point],
    label: Callable[[datetime.datetime], str],
    column: str,
    ticks: Sequence[str],
    marks: Sequence[int],
    *,
    kinds: Collection[str] = ("sent", "deferred", "bounced"),
    explore: str = "",
) -> dict[str, Any]:
    """Return a stacked bar chart of what was sent, deferred and bounced, with the accepted share as a line over it.

    Of `kinds` without "sent", such as those of replies, there is no share: what was accepted is not among them.
    """
    series = [each for each in SERIES if each[0] in kinds]
    has_share = "sent" in kinds
    labels = [label(point.at) for point in points]
    values = {name: [getattr(point.counts, name) for point in points] for name, _, _ in series}
    datasets: list[dict[str, Any]] = [
        {"label": word, "data": values[name], "yAxisID": "y", "backgroundColor": f"var({colour})", "borderRadius": 2}
        for name, word, colour in series
    ]
    shares = [reputation.accepted_share(point.counts) for point in points]
    if has_share:
        datasets.append(line("Accepted %", [_percent(each) for each in shares], "--sluice-accepted"))
    totals = [{"name": name, "label": word, "total": sum(values[name])} for name, word, _ in series]
    whole = reputation.accepted_share(sum_of(point.counts for point in points))
    return {
        "title": title,
        "column": column,
        # What a screen reader says instead of the drawing; the table beside it has all the numbers.
        "description": f"{title}: " + ", ".join(f"{each['total']:,} {each['label'].lower()}" for each in totals),
        "data": json.dumps(
            {
                "labels": labels,
                "datasets": datasets,
                "ticks": list(ticks),
                "marks": list(marks),
                "notes": [_note(point.counts) for point in points] if has_share else [],
            }
        ),
        "options": json.dumps(options(column, has_share=has_share)),
        "series": totals,
        "accepted": rates.percent(whole) if has_share else "",
        "rows": [
            {
                "label": text,
                "values": [values[name][position] for name, _, _ in series],
                "share": rates.percent(share) if has_share else "",
            }
            for position, (text, share) in enumerate(zip(labels, shares, strict=True))
        ],
        "is_empty": not any(each["total"] for each in totals),
        "explore": explore,
    }


def providers_over_time(
    found: dict[str, dict[int, Counts]], days: Sequence[int], *, explore: str = ""
) -> dict[str, Any]:
    """Return a chart with a line for each provider: the part of the attempts that it accepted, day by day."""
    sums = {name: sum_of(by_day.values()) for name, by_day in found.items()}
    tried = {name: each.sent + each.deferred + each.bounced for name, each in sums.items()}
    most = sorted((name for name in tried if tried[name]), key=lambda name: (-tried[name], name))[:MOST_LINES]
    shares = {name: [reputation.accepted_share(found[name].get(day, ZERO)) for day in days] for name in most}
    labels = [day_name(buckets.start_of_day(day)) for day in days]
    datasets = [
        line(
            name.capitalize() if name == queries.OTHER_PROVIDERS else name,
            [_percent(each) for each in shares[name]],
            colour,
        )
        for name, colour in zip(most, LINES, strict=False)
    ]
    title = f"Accepted by provider, the last {len(days)} days"
    texts = [f"{name} {rates.percent(reputation.accepted_share(sums[name]))}" for name in most]
    marks = [len(days) - 1 - position for position in range(len(days))]
    return {
        "title": title,
        "column": "Day (UTC)",
        "description": f"{title}: " + ", ".join(texts),
        "data": json.dumps({"labels": labels, "datasets": datasets, "ticks": labels, "marks": marks, "notes": []}),
        "options": json.dumps(options("Day (UTC)", is_share=True)),
        "lines": [
            {"label": each["label"], "number": position + 1} for position, each in enumerate(datasets)
        ],
        "heads": [each["label"] for each in datasets],
        "rows": [
            {"label": label, "texts": [rates.percent(shares[name][position]) for name in most]}
            for position, label in enumerate(labels)
        ],
        "is_empty": not most,
        "explore": explore,
    }  # fmt: skip


def shown_share(counts: Counts) -> dict[str, Any]:
    """Return the accepted share as text (rounded, but 100 % means all) and as one of six steps for its colour."""
    share = reputation.accepted_share(counts)
    if share is None:
        return {"share": None, "text": "–", "step": "none"}
    rounded = round(share, 2) if share == 1 else min(round(share, 2), 0.99)
    return {
        "share": share,
        "text": f"{rounded:.0%}".replace("%", " %"),
        "step": str(sum(rounded >= each for each in STEPS)),
    }


def line(label: str, data: list[Any], colour: str, dash: Sequence[int] = ()) -> dict[str, Any]:
    return {
        "type": "line",
        "label": label,
        "data": data,
        "yAxisID": "share",
        "borderColor": f"var({colour})",
        "backgroundColor": f"var({colour})",
        "borderWidth": 2,
        "borderDash": list(dash),
        # A line needs two points: one without a neighbour is drawn as a dot.
        "pointRadius": [0 if before is not None or after is not None else 3 for before, after in _neighbours(data)],
        "pointHitRadius": 8,
        "spanGaps": False,
        "order": -1,
    }


def _neighbours(data: Sequence[Any]) -> Iterable[tuple[Any, Any]]:
    return zip([None, *data[:-1]], [*data[1:], None], strict=True)


def _percent(share: float | None) -> float | None:
    return None if share is None else round(share * 100, 2)


def _note(counts: Counts) -> str:
    """Return the last line of a point's tooltip."""
    tried = counts.sent + counts.deferred + counts.bounced
    complaints = rates.rate(counts, "complaint")
    more = f", {rates.percent(complaints, places=2)} complaints" if counts.complaint and complaints is not None else ""
    return f"{tried:,} attempts, {rates.percent(reputation.accepted_share(counts))} accepted{more}"


def hour_ticks(times: Sequence[datetime.datetime]) -> tuple[list[str], list[int]]:
    """Return the names of hours, midnights as dates, and numbers by which a midnight is named before all others."""
    first = times[0].date() if times else None
    ticks = [day_name(at) if at.hour == at.minute == 0 else f"{at:%H:%M}" for at in times]
    return ticks, [(at.date() - first).days * 24 + at.hour for at in times] if first else []


def options(
    column: str, *, is_share: bool = False, is_rate: bool = False, has_share: bool = True, ticks: int = 0
) -> dict[str, Any]:
    """Return all options: unfold drops its defaults for a chart with options.

    With `ticks`, so many points are named at most and there is no axis of shares; otherwise `panel.js` chooses the points.
    Without `has_share`, there is no axis of shares either.
    """
    share: dict[str, Any] = {
        "position": "left" if is_share or is_rate else "right",
        "beginAtZero": True,
        "border": {"display": False},
        "grid": {"display": is_share or is_rate, "tickLength": 0},
        "ticks": {"color": _INK, "maxTicksLimit": 5, "padding": 6},
        "title": {"display": True, "text": "% complained" if is_rate else "% accepted", "color": _INK},
    }
    if is_rate:
        share |= {"suggestedMax": 0.35}
    else:
        share |= {"min": 0, "max": 100}
    scales: dict[str, Any] = {
        "x": {
            "stacked": True,
            "border": {"display": False},
            "grid": {"display": False},
            "ticks": {"color": _INK, "maxRotation": 0} | ({"maxTicksLimit": ticks} if ticks else {"autoSkip": False}),
            "title": {"display": True, "text": column, "color": _INK},
        },
    }
    if has_share and not ticks:
        scales["share"] = share
    if not (is_share or is_rate):
        scales["y"] = {
            "stacked": True,
            "beginAtZero": True,
            "border": {"display": False, "dash": [3, 4]},
            "grid": {"display": True, "tickLength": 0},
            "ticks": {"color": _INK, "maxTicksLimit": 5, "precision": 0, "padding": 8},
        }
    return {
        "animation": False,
        "responsive": True,
        "maintainAspectRatio": False,
        "locale": "en-GB",
        "interaction": {"mode": "index", "intersect": False},
        "datasets": {"bar": {"categoryPercentage": 0.86, "barPercentage": 0.94, "maxBarThickness": 28}},
        "plugins": {"legend": {"display": False}, "tooltip": {"enabled": True, "boxPadding": 4}},
        "scales": scales,
    }


def day_name(at: datetime.datetime) -> str:
    return f"{at:%-d %b}"


def _hour(at: datetime.datetime) -> str:
    local = timezone.localtime(at)
    return f"{day_name(local)}, {local:%H:%M}" if local.hour == local.minute == 0 else f"{local:%H:%M}"
