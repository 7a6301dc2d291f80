"""The summary of a warm-up: progress, the reason of each decision, and planned, allowed and sent messages."""

import datetime
import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from django.db.models import OuterRef, Subquery
from django.utils.formats import date_format

from core.sql_lists import ids as listed
from ippools.models import WarmUp, WarmUpDay
from panel import charts
from stats.warm_up import sent_by_day
from throttling import warmup

# So many days are shown, the newest.
MOST_DAYS = 60
# Name, title and colour of what is drawn; the legend's swatches have the names.
SERIES = (
    ("sent", "Sent", "--sluice-sent"),
    ("deferred", "Cap", "--sluice-deferred"),
    ("bounced", "Plan", "--sluice-bounced"),
)


def state_of(record: WarmUp, now: datetime.datetime) -> str:
    """Return in a word how it stands."""
    if record.ended_at is not None:
        return "warm" if record.is_warm else "stopped"
    if record.is_locked:
        return "held"
    return "waiting" if record.begins_on > now.astimezone(datetime.UTC).date() else "warming up"


def forecast(record: WarmUp, number: int | None, on: datetime.date | None) -> datetime.date | None:
    """Return when it is warm if no day is repeated from now on; None: it has ended, or is held."""
    if record.ended_at is not None or record.is_locked:
        return None
    return warmup.warm_on(record.plan.value(), number or 1, on or record.begins_on)


class Progress(NamedTuple):
    """How far the warm-up of an address is, and why, in words."""

    day: str
    story: str


def warming(address_ids: Iterable[int]) -> set[int]:
    """Return those of the addresses that are being warmed up. One query."""
    rows = WarmUp.objects.active().filter(address__in=listed(address_ids))
    return set(rows.values_list("address_id", flat=True))


def progress(address_ids: Iterable[int]) -> dict[int, Progress]:
    """Return how far each address is that is being warmed up. One query."""
    latest = WarmUpDay.objects.filter(warm_up=OuterRef("pk")).order_by("-on")
    columns = {f"latest_{name}": Subquery(latest.values(name)[:1]) for name in ("number", "reason", "on")}
    rows = WarmUp.objects.active().filter(address__in=listed(address_ids)).select_related("plan").annotate(**columns)
    return {row.address_id: _progress(row) for row in rows}


def _progress(record: Any) -> Progress:
    return Progress(_day_in_words(record, record.latest_number, record.latest_on), record.latest_reason or "")


def _day_in_words(record: WarmUp, number: int | None, on: datetime.date | None) -> str:
    if number is None:
        return f"the warm-up begins on {date_format(record.begins_on)}"
    warm_on = forecast(record, number, on)
    then = f"warm on {date_format(warm_on)}" if warm_on is not None else "held"
    return f"day {number} of {len(record.plan.days)}, {then}"


def of_address(address_id: int) -> dict[str, Any] | None:
    """Return the summary of an address's warm-up; None: there is none. Three queries, or one."""
    record = WarmUp.objects.active().filter(address_id=address_id).select_related("plan", "address").first()
    return None if record is None else summary(record)


def summary(record: WarmUp) -> dict[str, Any]:
    """Return the context of `panel/warm_up.html`. Two queries."""
    days = list(record.days.order_by("-on")[:MOST_DAYS])[::-1]
    last = days[-1] if days else None
    sent = sent_by_day(record.address_id, days[0].on, days[-1].on) if days else {}
    planned = record.plan.days
    rows = [
        {
            "on": day.on,
            "reason": day.reason,
            "sent": sent.get(day.on, 0),
            "cap": day.cap,
            # What the plan has for the days since it began, however the warm-up went.
            "plan": planned[min((day.on - record.begins_on).days, len(planned) - 1)],
        }
        for day in days
    ]
    return {
        "record": record,
        "last": last,
        "length": len(planned),
        "warm_on": forecast(record, last.number if last else None, last.on if last else None),
        "progress": _day_in_words(record, last.number if last else None, last.on if last else None),
        "days": rows[::-1],
        "chart": _chart(rows),
    }


def _chart(rows: list[dict[str, Any]]) -> dict[str, Any]:
    labels = [f"{row['on']:%-d %b}" for row in rows]
    keys = ("sent", "cap", "plan")
    values = {key: [row[key] for row in rows] for key in keys}
    datasets: list[dict[str, Any]] = []
    for key, (_, title, colour) in zip(keys, SERIES, strict=True):
        look: dict[str, Any] = {"label": title, "data": values[key], "backgroundColor": f"var({colour})"}
        if key != "sent":
            # Lines over the bars, each by itself.
            look |= {"type": "line", "stack": key, "borderColor": f"var({colour})", "borderWidth": 2, "pointRadius": 2}
        datasets.append(look)
    series: list[dict[str, Any]] = [
        {"name": name, "label": title, "total": values[key][-1] if rows else 0}
        for key, (name, title, _) in zip(keys, SERIES, strict=True)
    ]
    return {
        "title": "Plan, cap and sent, by day",
        "column": "Day (UTC)",
        "description": "On the last day: " + ", ".join(f"{each['total']:,} {each['label'].lower()}" for each in series),
        "data": json.dumps({"labels": labels, "datasets": datasets}),
        "options": json.dumps(charts.options("Day (UTC)", ticks=10)),
        "series": series,
        "rows": [
            {"label": text, "values": [values[key][position] for key in keys]} for position, text in enumerate(labels)
        ],
        "is_empty": not rows,
    }
