"""One query for all questions that conditions ask of records: each is a branch of a UNION, with what it reads as JSON.

Where counts are in a database of their own, the questions of counts are a second query. So a page or an evaluation costs the
same number of queries however many conditions there are. To make the query of so many querysets takes longer than to run it: it
is made once, with places for what depends on the time.
"""

import datetime
import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.db.models import Count, Field, IntegerField, QuerySet, TextField, Value, Window
from django.db.models.functions import Cast, JSONObject, RowNumber

# Queries that are kept, by scope and what else they depend on.
_MOST_KEPT = 500


class Given(Value):
    """A value of a question that depends on when it is asked: `of` returns it for a time."""

    def __init__(self, of: Callable[[datetime.datetime], Any], output_field: "Field[Any, Any]") -> None:
        super().__init__(None, output_field)
        self.of = of

    def __sub__(self, other: Any) -> Any:
        of = self.of
        return Given(lambda at: of(at) - other, self.output_field)

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        return "%s", [self]

    def at(self, at: datetime.datetime) -> Any:
        """Return the value as the database takes it."""
        value = self.of(at)
        if isinstance(value, datetime.datetime):
            return connection.ops.adapt_datetimefield_value(value)
        return connection.ops.adapt_datefield_value(value) if isinstance(value, datetime.date) else value


@dataclass(frozen=True, slots=True)
class _Query:
    """What questions of one database are in SQL; among the parameters are those that are given."""

    using: str
    names: tuple[str, ...]
    sql: str
    params: tuple[Any, ...]


_kept: dict[Hashable, list[_Query]] = {}


@dataclass(frozen=True, slots=True)
class Question:
    """Rows that a condition is about, and what is read of each: names with columns or expressions.

    `named`: so many rows are read, the first by `order`, with the number of all; None: all are, as of rows that are grouped.
    """

    name: str
    rows: QuerySet[Any, Any]
    facts: Mapping[str, Any]
    named: int | None = None
    order: tuple[str, ...] = ("pk",)
    # The database that has the rows.
    using: str = DEFAULT_DB_ALIAS


@dataclass(frozen=True, slots=True)
class Row:
    """What was read of one row. `of_all` is how many there are, of which some may have been left out."""

    of_all: int
    facts: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.facts[name]

    def moment(self, name: str) -> datetime.datetime | None:
        """Return a time: JSON has it as text, SQLite's without a zone."""
        text = self.facts[name]
        if text is None:
            return None
        found = datetime.datetime.fromisoformat(text)
        return found if found.tzinfo else found.replace(tzinfo=datetime.UTC)

    def parts(self, name: str) -> Any:
        """Return what is JSON itself: SQLite has it as text where a subquery made it."""
        found = self.facts[name]
        return json.loads(found) if isinstance(found, str) else found


type Answers = Mapping[str, Sequence[Row]]


def ask(questions: Callable[[], Sequence[Question]], *, key: Hashable, at: datetime.datetime) -> dict[str, list[Row]]:
    """Return the rows of each question by its name, in their order. One query for each database that is asked.

    `key` is all that the questions depend on, besides the time: they are made once for each.
    """
    kept = _kept.get((connection.vendor, key))
    if kept is None:
        kept = _queries(questions())
        if len(_kept) >= _MOST_KEPT:
            _kept.clear()
        _kept[connection.vendor, key] = kept
    found: dict[str, list[tuple[int, int, Any]]] = {name: [] for query in kept for name in query.names}
    for query in kept:
        if not query.sql:
            continue
        params = [each.at(at) if isinstance(each, Given) else each for each in query.params]
        with connections[query.using].cursor() as cursor:
            cursor.execute(query.sql, params)
            for name, of_all, place, facts in cursor.fetchall():
                found[name].append((place, of_all, json.loads(facts) if isinstance(facts, str) else facts))
    return {
        name: [Row(of_all or len(rows), facts) for _, of_all, facts in sorted(rows, key=lambda row: row[0])]
        for name, rows in found.items()
    }


def _queries(questions: Sequence[Question]) -> list[_Query]:
    """Return a query for each database."""
    databases = dict.fromkeys(question.using for question in questions)
    return [_query(using, [each for each in questions if each.using == using]) for using in databases]


def _query(using: str, questions: Sequence[Question]) -> _Query:
    names = tuple(question.name for question in questions)
    first, *others = (_branch(question) for question in questions)
    try:
        sql, params = first.union(*others, all=True).query.get_compiler(using).as_sql()
    except EmptyResultSet:
        # Of nothing, as for a person without an organization: Django knows that without asking the database.
        return _Query(using, names, "", ())
    return _Query(using, names, sql, tuple(params))


def _branch(question: Question) -> QuerySet[Any, Any]:
    number: Any = Cast(Value(0), IntegerField())
    place: Any = number
    if question.named is not None:
        number = Window(Count("pk"))
        place = Window(RowNumber(), order_by=list(question.order))
    rows: QuerySet[Any, Any] = question.rows.order_by().annotate(
        asked=Cast(Value(question.name), TextField()),
        asked_of_all=number,
        asked_place=place,
        asked_facts=JSONObject(**question.facts),
    )
    if question.named is not None:
        rows = rows.filter(asked_place__lte=question.named)
    answers: QuerySet[Any, Any] = rows.values_list("asked", "asked_of_all", "asked_place", "asked_facts")
    return answers
