"""One query for all questions that conditions ask of records: each is a branch of a UNION, with what it reads as JSON.

So a page or an evaluation costs the same number of queries however many conditions there are.
"""

import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, IntegerField, QuerySet, TextField, Value, Window
from django.db.models.functions import Cast, JSONObject, RowNumber


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


def ask(questions: Sequence[Question]) -> dict[str, list[Row]]:
    """Return the rows of each question by its name, in their order. One query."""
    found: dict[str, list[tuple[int, int, Any]]] = {question.name: [] for question in questions}
    first, *others = (_branch(question) for question in questions)
    for name, of_all, place, facts in first.union(*others, all=True):
        found[name].append((place, of_all, facts))
    return {
        name: [Row(of_all or len(rows), facts) for _, of_all, facts in sorted(rows, key=lambda row: row[0])]
        for name, rows in found.items()
    }


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
