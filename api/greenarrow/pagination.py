"""Pagination: by page number, or by a token that continues after the last row seen.

A token is keyset-based: rows that come or go between two calls are neither skipped nor repeated, and every page costs the same.
It is signed, holds the list's filters, and is good for its own list only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol

from django.core import signing
from django.db.models import Model, QuerySet
from rest_framework.request import Request

from api.problems import Code, decline
from core.compiled import Compiled
from ippools import row_counts
from throttling.used_by import References

PER_PAGE = 100
HIGHEST_PAGE = 2**31 - 1
# The `+`, `/` and `=` of other encodings would have to be escaped in a URL, as would Django's own ":".
SEPARATOR = "."

type Cursor = list[int]
type Row = dict[str, Any]


class Listed(Protocol):
    """Something that can be listed in a fixed order. A cursor says where a row stands in it."""

    def count(self) -> int:
        """Return how many rows there are."""

    def page(self, after: Cursor, skipped: int, limit: int) -> list[tuple[Cursor, Row]]:
        """Skip some of the rows behind the cursor (the empty one: of all), and return the next, each with its own."""


@dataclass(frozen=True, slots=True)
class Rows:
    """A queryset, listed by id: plain rows, not a serializer's, because lists are what clients ask for most.

    `columns` are a row's keys and the columns that they hold; `are_all`: the queryset is of all rows of its table.
    """

    queryset: QuerySet[Any]
    columns: Mapping[str, str] = MappingProxyType({"id": "pk", "name": "name"})
    are_all: bool = False

    def count(self) -> int:
        return row_counts.rows_of(self.queryset.model) if self.are_all else self.queryset.count()

    def page(self, after: Cursor, skipped: int, limit: int) -> list[tuple[Cursor, Row]]:
        """One query; over the primary key, where a cursor is given."""
        rows = self.queryset.filter(pk__gt=after[0]) if after else self.queryset
        found = rows.order_by("pk").values_list("pk", *self.columns.values())[skipped : skipped + limit]
        return [([pk], dict(zip(self.columns, row, strict=True))) for pk, *row in found]


class Whole:
    """Every row of a model, by id and name: what is asked for most. Its statement is made once (core.compiled)."""

    def __init__(self, model: type[Model]) -> None:
        rows = model._default_manager.all()
        self._rows = Rows(rows, are_all=True)
        self._following = Compiled(
            (int,), lambda pk: rows.filter(pk__gt=pk).order_by("pk").values_list("pk", "name")[: PER_PAGE + 1]
        )

    def count(self) -> int:
        return self._rows.count()

    def page(self, after: Cursor, skipped: int, limit: int) -> list[tuple[Cursor, Row]]:
        """One query, as that of Rows."""
        if skipped:
            return self._rows.page(after, skipped, limit)
        # Ids begin with 1.
        found = self._following.all(after[0] if after else 0)
        return [([pk], {"id": pk, "name": name}) for pk, name in found[:limit]]


@dataclass(frozen=True, slots=True)
class UsedBy:
    """The records of several kinds that refer to one, kind by kind, each by id: at most two queries for each kind."""

    references: Sequence[References]

    def count(self) -> int:
        return sum(each.rows.count() for each in self.references)

    def page(self, after: Cursor, skipped: int, limit: int) -> list[tuple[Cursor, Row]]:
        first, last = after or [0, 0]
        found: list[tuple[Cursor, Row]] = []
        for index, each in enumerate(self.references):
            if index < first or len(found) >= limit:
                continue
            rows = each.rows.filter(pk__gt=last if index == first else 0).order_by("pk")
            if skipped and skipped >= (count := rows.count()):
                skipped -= count
                continue
            some = rows.values_list("pk", "name")[skipped : skipped + limit - len(found)]
            found += [([index, pk], {"type": each.type, "id": pk, "name": name}) for pk, name in some]
            skipped = 0
        return found


@dataclass(frozen=True, slots=True)
class Computed:
    """Rows that are at hand, in order of their cursors."""

    rows: Sequence[tuple[Cursor, Row]]

    def count(self) -> int:
        return len(self.rows)

    def page(self, after: Cursor, skipped: int, limit: int) -> list[tuple[Cursor, Row]]:
        return [row for row in self.rows if row[0] > after][skipped : skipped + limit]


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which page of a list is asked for: by number or, with a cursor, by token."""

    salt: str
    page: int = 0
    cursor: Cursor | None = None
    filters: Mapping[str, str] = field(default_factory=dict)

    def answer(self, key: str, listed: Listed) -> dict[str, Any]:
        """Return the page's rows under the key, and `pagination`."""
        skipped = self.page * PER_PAGE if self.cursor is None else 0
        total = listed.count() if skipped else None
        found = listed.page(self.cursor or [], skipped, PER_PAGE + 1) if total is None or skipped < total else []
        has_more, found = len(found) > PER_PAGE, found[:PER_PAGE]
        if total is None:
            # A first page that no other follows has them all.
            total = len(found) if self.cursor is None and not has_more else listed.count()
        return {
            key: [row for _, row in found],
            "pagination": {
                "page": self.page,
                "per_page": PER_PAGE,
                "num_pages": -(-total // PER_PAGE),
                "num_records": total,
                "next_page_token": self._token(found[-1][0]) if has_more else None,
            },
        }

    def _token(self, cursor: Cursor) -> str:
        held = [self.page + 1, cursor, dict(self.filters)]
        return signing.Signer(sep=SEPARATOR, salt=self.salt).sign_object(held)


def page_request(request: Request, *, filters: Sequence[str] = ()) -> PageRequest:
    """Read `page`, `page_token` and the list's filters from the query string; refuse what is not ours."""
    query = request.query_params
    salt = f"api.greenarrow.pagination:{request.path}"
    given = {name: query[name] for name in filters if name in query}
    if "page_token" not in query:
        return PageRequest(salt, page=_page(query.get("page")), filters=given)
    if "page" in query:
        raise decline(Code.MALFORMED, "page and page_token must not be given together")
    try:
        page, cursor, held = signing.Signer(sep=SEPARATOR, salt=salt).unsign_object(query["page_token"])
    except (signing.BadSignature, ValueError) as exc:
        raise decline(Code.MALFORMED, "page_token is not a token of this list") from exc
    if given and given != held:
        raise decline(Code.MALFORMED, "page_token belongs to a list with other filters")
    return PageRequest(salt, page=page, cursor=cursor, filters=held)


def _page(text: str | None) -> int:
    if text is None:
        return 0
    if not (text.isascii() and text.isdecimal() and len(text) <= 10 and int(text) <= HIGHEST_PAGE):
        raise decline(Code.MALFORMED, f"page must be an integer from 0 to {HIGHEST_PAGE}")
    return int(text)
