"""Event sources that are silent against their own habit, or whose records are refused; for the platform's staff."""

from django.db.models import Count, F, Q, Sum
from django.db.models.functions import Coalesce

from alerts import habit
from alerts.asking import Answers, Question, Row
from alerts.items import Group, Item, lines
from alerts.links import change_url
from alerts.topics.look import HOURS, MOMENT, Look
from stats.models import EventSource, SourceOutcome

# Percent of a source's records of the last two hours that are refused, from which on it is told of, and below which it is not.
REFUSED_BEGINS, REFUSED_ENDS = 10, 5
LEAST_RECORDS = 100
_SILENT = Group("bad", "source_silent", "event sources are silent", "stats.eventsource")
_REFUSED = Group("warn", "source_refused", "event sources report records that are refused", "stats.eventsource")
GROUPS = (_SILENT, _REFUSED)
_REFUSALS = (SourceOutcome.REFUSED, SourceOutcome.CONFLICT)


def questions(look: Look) -> list[Question]:
    """Return what is asked of the counts of sources in use; nothing of a tenant's."""
    if not look.scope.is_platform:
        return []
    hours = HOURS
    heard = Q(counts__outcome=SourceOutcome.ACCEPTED)
    lately = Q(counts__hour__in=hours.recent[-2:])
    sources = EventSource.objects.usable(MOMENT).filter(is_active=True, counts__hour__in=hours.all)
    rows = (
        sources.order_by()
        .values("pk", "name")
        .annotate(
            usual=Count("counts__hour", filter=heard & Q(counts__hour__in=hours.usual), distinct=True),
            recent=Count("counts__hour", filter=heard & Q(counts__hour__in=hours.recent), distinct=True),
            records=Coalesce(Sum("counts__number", filter=lately), 0),
            refused=Coalesce(Sum("counts__number", filter=lately & Q(counts__outcome__in=_REFUSALS)), 0),
        )
    )
    silent = Q(recent=0) & (Q(usual=len(hours.usual)) | Q(pk__in=look.pks("source_silent"), usual__gt=0))
    refused = Q(records__gte=LEAST_RECORDS, refused__gt=0) & Q(refused__gte=F("records") * REFUSED_ENDS / 100)
    names = ("pk", "name", "usual", "recent", "records", "refused")
    return [Question("sources", rows.filter(silent | refused), {name: F(name) for name in names})]


def items(look: Look, answers: Answers) -> list[Item]:
    """Return the lines."""
    rows = sorted(answers.get("sources", ()), key=lambda row: str(row["name"]))
    refused = [row for row in rows if _is_refused(look, row)]
    # Where all of its records are refused, it is not silent.
    silent = [row for row in rows if not row["recent"] and not row["refused"]]
    return [
        *lines([Row(len(silent), row.facts) for row in silent], named=look.named, group=_SILENT, one=_silent),
        *lines([Row(len(refused), row.facts) for row in refused], named=look.named, group=_REFUSED, one=_refused),
    ]


def _url(row: Row) -> str:
    return change_url("stats.eventsource", row["pk"])


def _is_refused(look: Look, row: Row) -> bool:
    least = REFUSED_ENDS if look.held.level("source_refused", _url(row)) else REFUSED_BEGINS
    records: int = row["records"]
    return records >= LEAST_RECORDS and 100 * int(row["refused"]) >= least * records


def _silent(row: Row) -> Item:
    text = f"Event source {row['name']} has been silent for {habit.SILENT_HOURS} hours"
    detail = f"It reported at this time of day on each of {habit.DAYS} days before"
    return Item("bad", "source_silent", text, detail, _url(row))


def _refused(row: Row) -> Item:
    percent = 100 * row["refused"] // row["records"]
    return Item(
        "bad" if row["refused"] == row["records"] else "warn",
        "source_refused",
        f"Of the records of event source {row['name']}, {percent}\N{NO-BREAK SPACE}% are refused",
        f"{row['refused']:,} of {row['records']:,} in this hour and the last; its page has the reasons",
        _url(row),
    )
