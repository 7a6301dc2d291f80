"""Counts what event sources reported, by hour and reason, with the latest sample of each reason."""

import datetime
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Max, Min, Sum

from core import sql_lists
from stats.counts import buckets
from stats.intake import samples
from stats.intake.ingest import Receipt
from stats.intake.remarks import Remark
from stats.ledger import storage
from stats.ledger.database import CONFIGURATION
from stats.models import EventSource, SourceActivity, SourceCount, SourceOutcome, SourceSample

HOURS_KEPT = 30 * 24
# A source that makes up words must not fill the table: the rest of a delivery's words are one.
_MOST_CODES = 50
_REST = "other"
_MOST_SAMPLES = 20
# Of these a sample keeps the domain alone.


class Account:
    """The counts of one delivery, written at its end."""

    def __init__(self, source: EventSource, now: datetime.datetime) -> None:
        self._source, self._now = source, now
        self._counts: Counter[tuple[str, str]] = Counter()
        self._samples: dict[tuple[str, str], tuple[str, str]] = {}
        self._latest: str | float | None = None

    def add(self, outcome: str, code: str = "", number: int = 1) -> None:
        """Count records of one outcome and reason."""
        if number:
            if (outcome, code) not in self._counts and len(self._counts) >= _MOST_CODES:
                code = _REST
            self._counts[outcome, code] += number

    def note_remarks(self, outcome: str, remarks: Sequence[Remark], records: Sequence[Any] | None = None) -> None:
        """Count remarks by their codes, and keep a sample of each; `records` are what their positions are positions in."""
        for each in remarks:
            self.add(outcome, each.code)
            if (outcome, each.code) not in self._samples and len(self._samples) < _MOST_SAMPLES:
                sample = samples.masked(records[each.position]) if records else ""
                self._samples[outcome, each.code] = each.message, sample

    def note_receipt(self, receipt: Receipt, events: Sequence[Any]) -> None:
        """Count the outcomes of events."""
        self.add("accepted", number=receipt.accepted)
        self.add("duplicates", number=receipt.duplicates)
        self.add("ignored", number=receipt.ignored)
        for outcome in ("conflicts", "warnings", "refused"):
            self.note_remarks(outcome, getattr(receipt, outcome), events)

    def note_latest(self, events: Sequence[Any]) -> None:
        """Store the time of the latest event."""
        for event in reversed(events):
            if type(event) is dict and type(at := event.get("at")) in (str, int, float):
                self._latest = at
                break

    def write(self) -> None:
        """Add everything to the source's counts."""
        hour = buckets.hour_of(self._now)
        rows = sorted(self._counts.items())
        if rows:
            values = ", ".join(["(%s, %s, %s, %s, %s)"] * len(rows))
            storage.execute(
                f"INSERT INTO stats_sourcecount (source_id, hour, outcome, code, number) VALUES {values}"
                " ON CONFLICT (source_id, hour, outcome, code)"
                " DO UPDATE SET number = stats_sourcecount.number + excluded.number",
                [each for (outcome, code), number in rows for each in (self._source.pk, hour, outcome, code, number)],
                using=CONFIGURATION,
            )
        SourceSample.objects.bulk_create(
            [
                SourceSample(
                    source=self._source,
                    outcome=outcome,
                    code=code,
                    message=message[: samples.LONGEST_MESSAGE],
                    sample=sample,
                    at=self._now,
                )
                for (outcome, code), (message, sample) in sorted(self._samples.items())
            ],
            update_conflicts=True,
            unique_fields=["source", "outcome", "code"],
            update_fields=["message", "sample", "at"],
        )
        self._write_activity()

    def _write_activity(self) -> None:
        at = _moment(self._latest)
        told = {"last_event_at": at, "lag_seconds": (self._now - at).total_seconds()} if at else {}
        SourceActivity.objects.update_or_create(source=self._source, defaults={"last_delivery_at": self._now, **told})


@dataclass(frozen=True, slots=True)
class Summary:
    """The recent activity of a source; counts by outcome and reason."""

    totals: dict[str, int]
    reasons: dict[str, dict[str, int]]
    # Events accepted in the last complete hour.
    last_hour: int


def summary(source: EventSource, now: datetime.datetime, *, hours: int = 24) -> Summary:
    """Return the outcomes of a source's records in the last hours, including the current one. One query."""
    current = buckets.hour_of(now)
    rows = SourceCount.objects.filter(source=source, hour__gt=current - hours, hour__lte=current)
    totals = dict.fromkeys(SourceOutcome.values, 0)
    reasons: dict[str, dict[str, int]] = {}
    last_hour = 0
    grouped = rows.order_by().values_list("hour", "outcome", "code").annotate(total=Sum("number"))
    for hour, outcome, code, number in grouped:
        totals[outcome] += number
        if code:
            of_outcome = reasons.setdefault(outcome, {})
            of_outcome[code] = of_outcome.get(code, 0) + number
        if outcome == SourceOutcome.ACCEPTED and hour == current - 1:
            last_hour = number
    return Summary(totals, reasons, last_hour)


def totals(source_ids: Iterable[int], now: datetime.datetime, *, hours: int = 24) -> dict[int, dict[str, int]]:
    """Return the counts by outcome over the last hours, for every id given. One query."""
    ids = list(source_ids)
    current = buckets.hour_of(now)
    found = {each: dict.fromkeys(SourceOutcome.values, 0) for each in ids}
    rows = SourceCount.objects.filter(source_id__in=sql_lists.ids(ids), hour__gt=current - hours, hour__lte=current)
    sums = rows.order_by().values_list("source_id", "outcome").annotate(total=Sum("number"))
    for source, outcome, number in sums:
        found[source][outcome] = number
    return found


def prune(*, now: datetime.datetime) -> None:
    """Delete expired counts."""
    SourceCount.objects.filter(hour__lt=buckets.hour_of(now) - HOURS_KEPT).delete()


@dataclass(frozen=True, slots=True)
class RefusedOfSource:
    """The records of a source that were refused, or contradict stored ones, for one reason, with the latest of them."""

    source: EventSource
    code: str
    number: int
    first_day: datetime.date
    last_day: datetime.date
    message: str
    sample: str


def refusing(now: datetime.datetime, *, days: int, most: int = 200) -> list[RefusedOfSource]:
    """Return what sources were refused in the last days, most first. Three queries."""
    since = buckets.hour_of(now) - 24 * days
    outcomes = (SourceOutcome.REFUSED, SourceOutcome.CONFLICT)
    rows = SourceCount.objects.filter(hour__gt=since, outcome__in=outcomes).order_by()
    summed = (
        rows.values_list("source_id", "outcome", "code")
        .annotate(total=Sum("number"), first=Min("hour"), last=Max("hour"))
        .order_by("-total", "source_id", "code")[:most]
    )
    found = list(summed)
    chosen = EventSource.objects.in_bulk({source for source, *_ in found})
    samples_of = {
        (each.source_id, each.outcome, each.code): each
        for each in SourceSample.objects.filter(source__in=chosen, outcome__in=outcomes)
    }
    lines = []
    for source, outcome, code, total, first, last in found:
        sample = samples_of.get((source, outcome, code))
        first_day, last_day = (buckets.start_of_hour(hour).date() for hour in (first, last))
        message, text = (sample.message, sample.sample) if sample else ("", "")
        lines.append(RefusedOfSource(chosen[source], code, total, first_day, last_day, message, text))
    return lines


def _moment(at: str | float | None) -> datetime.datetime | None:
    try:
        if type(at) is str:
            moment = datetime.datetime.fromisoformat(at)
            # The last hours of the year 9999 are after it in UTC, in which it is stored.
            return moment.astimezone(datetime.UTC) if moment.tzinfo else None
        if at is not None:
            seconds = float(at) / 1000 if float(at) >= 1e11 else float(at)
            return datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    except (ValueError, OverflowError, OSError):
        pass
    return None
