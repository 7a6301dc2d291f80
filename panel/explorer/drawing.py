"""Charts of the explorer's answers, in the question's own zone."""

import datetime
import json
from typing import Any

from panel import charts
from panel.explorer import rates
from stats.counts.buckets import Grain
from stats.reports.explore import Answer, Question
from stats.reports.queries import Point


def of_answer(answer: Answer, now: datetime.datetime) -> dict[str, Any]:
    """Return the chart of an answer of the explorer; in its own zone, the current point said to be so far."""
    question = answer.plan.question
    points = [Point(at, counts) for at, counts in answer.series]
    last = max((at for at, _ in answer.series if at <= now < question.end), default=None)

    def label(at: datetime.datetime) -> str:
        return moment_of(at, question) + (", so far" if at == last else "")

    ticks, marks = _ticks(answer)
    return charts.chart("Messages", points, label, column_of(question), ticks, marks, kinds=answer.kinds)


def of_complaints(answer: Answer) -> dict[str, Any] | None:
    """Return the chart of the complaint rate, with 0.1 and 0.3 % marked; None where nobody complained."""
    if not answer.total.complaint:
        return None
    question = answer.plan.question
    labels = [moment_of(at, question) for at, _ in answer.series]
    shares = [rates.rate(counts, "complaint") for _, counts in answer.series]
    data = [None if share is None else round(share * 100, 4) for share in shares]
    datasets = [
        charts.line("Complaints %", data, "--sluice-line-1"),
        charts.line("0.1 %: high", [0.1] * len(data), "--sluice-deferred", dash=[4, 4]),
        charts.line("0.3 %: too high", [0.3] * len(data), "--sluice-bounced", dash=[4, 4]),
    ]
    ticks, marks = _ticks(answer)
    text = rates.shown(answer.total, "complaint")
    title = "Complaint rate"
    return {
        "title": title,
        "column": column_of(question),
        "description": f"{title}: {text['number']:,} complaints, {text['rate']} of what was sent",
        "data": json.dumps({"labels": labels, "datasets": datasets, "ticks": ticks, "marks": marks, "notes": []}),
        "options": json.dumps(charts.options(column_of(question), is_rate=True)),
        "lines": [],
        "heads": ["Complaints", "Rate"],
        "rows": [
            {"label": label, "texts": [f"{counts.complaint:,}", rates.percent(share, places=2)]}
            for label, (_, counts), share in zip(labels, answer.series, shares, strict=True)
            if counts.complaint
        ],
        "is_empty": False,
        "explore": "",
    }


def column_of(question: Question) -> str:
    """Return what the points of an answer's series are, with their zone."""
    return f"{question.grain.label.capitalize()} ({str(question.zone).replace('_', ' ')})"


def moment_of(at: datetime.datetime, question: Question) -> str:
    """Return what a point of an answer's series is called, in the question's zone."""
    local = at.astimezone(question.zone)
    return f"{local:%a %-d %b %Y}" if question.grain == Grain.DAY else f"{local:%a %-d %b, %H:%M}"


def _ticks(answer: Answer) -> tuple[list[str], list[int]]:
    """Return what the points are called below the chart, and the numbers by which some are named before others."""
    question = answer.plan.question
    times = [at.astimezone(question.zone) for at, _ in answer.series]
    if question.grain == Grain.DAY:
        return [charts.day_name(at) for at in times], [len(times) - 1 - position for position in range(len(times))]
    ticks, marks = charts.hour_ticks(times)
    return ticks, [at.hour * 60 + at.minute for at in times] if question.grain == Grain.MINUTE else marks
