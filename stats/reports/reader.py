"""The one reader of counts: which rows of a table are read, and their sums by some of its columns.

What is asked of it, and what the answer is called, is in the modules beside it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery, Sum

from core import sql_lists
from stats.counts.buckets import Grain
from stats.ledger.database import IS_APART, across
from stats.models import Bucket


@dataclass(frozen=True, slots=True)
class Counts:
    """Messages by what happened to them."""

    incoming: int = 0
    sent: int = 0
    deferred: int = 0
    bounced: int = 0
    held: int = 0
    spam: int = 0
    complaint: int = 0
    late_bounce: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        # Written out: a page adds hundreds of them.
        return Counts(
            self.incoming + other.incoming,
            self.sent + other.sent,
            self.deferred + other.deferred,
            self.bounced + other.bounced,
            self.held + other.held,
            self.spam + other.spam,
            self.complaint + other.complaint,
            self.late_bounce + other.late_bounce,
        )


COLUMNS = tuple(column.name for column in fields(Counts))
ZERO = Counts()
_values = attrgetter(*COLUMNS)


def sum_of(counts: Iterable[Counts]) -> Counts:
    """Return the sum; a page adds up thousands, and each `+` makes an object."""
    columns = zip(*map(_values, counts), strict=True)
    return Counts(*map(sum, columns))


# Ids of a column: a list, a query of them (`.values(…)`), or all (None).
type Ids = Iterable[int] | QuerySet[Any] | None


def rows_of(counts: type[Bucket], grain: Grain, buckets: Iterable[int], **ids: Ids) -> QuerySet[Any]:
    """Return a table's rows of some buckets of one grain, for some ids by column.

    Buckets as a list: one key's row is found in each by the primary key, where a range would read everybody's.
    """
    rows = counts._default_manager.filter(grain=grain, bucket__in=list(buckets))
    for column, wanted in ids.items():
        if wanted is not None:
            chosen = across(wanted) if isinstance(wanted, QuerySet) else sql_lists.sought(wanted)
            rows = rows.filter(**{f"{column}__in": chosen})
    return rows


def sums_of(rows: QuerySet[Any], *keys: str) -> dict[tuple[Any, ...], Counts]:
    """Return the sums by these columns or annotations, the kinds that the table does not count being 0. One query.

    Without those that are zero in every kind, as a rebuild may leave rows of zeroes.
    """
    kinds = kinds_of(rows.model)
    grouped = rows.order_by().values(*keys).annotate(**totals(rows.model))
    found = {tuple(row[key] for key in keys): counts_of(row, kinds, "total_") for row in grouped}
    return {key: counts for key, counts in found.items() if counts != ZERO}


def kinds_of(counts: type[Any]) -> tuple[str, ...]:
    """Return the kinds that a table counts."""
    columns = {field.name for field in counts._meta.fields}
    return tuple(name for name in COLUMNS if name in columns)


def totals(counts: type[Any]) -> dict[str, Sum]:
    """Return the annotations `total_…` of the kinds that a table counts."""
    return {f"total_{name}": Sum(name) for name in kinds_of(counts)}


def counts_of(row: dict[str, Any], kinds: Iterable[str] = COLUMNS, prefix: str = "") -> Counts:
    """Return the counts of a row that a query returned."""
    return Counts(**{name: row[prefix + name] for name in kinds})


class Beside:
    """What configuration says of a column's ids, beside their counts.

    In the query of the counts where there is one database; by a second one, over the rows that were found, where there are two.
    """

    def __init__(self, records: QuerySet[Any, Any], key: str, **columns: str) -> None:
        """`columns`: what they are called in the rows, and where the records have them."""
        self._records, self._key, self._columns = records.order_by(), key, columns

    def annotations(self) -> dict[str, Any]:
        """Return what the query of the counts is annotated with."""
        if IS_APART:
            return {}
        record = self._records.filter(pk=OuterRef(self._key))
        return {name: Subquery(record.values(column)[:1]) for name, column in self._columns.items()}

    def filled(self, rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the query's rows with these columns; None where there is no such record."""
        found = list(rows)
        if not IS_APART or not found:
            return found
        wanted = self._records.filter(pk__in=sql_lists.ids({row[self._key] for row in found}))
        known = {pk: values for pk, *values in wanted.values_list("pk", *self._columns.values())}
        nothing = [None] * len(self._columns)
        for row in found:
            row.update(zip(self._columns, known.get(row[self._key], nothing), strict=True))
        return found
