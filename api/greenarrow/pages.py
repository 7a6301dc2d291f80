"""Pagination: by page number, or by a token that continues after the last row seen.

A token is keyset-based: rows that come or go between two calls are neither skipped nor repeated, and every page costs the same.
It is signed, holds the list's filters, and is good for its own list only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol

from django.core import signing
from django.db.models import QuerySet
from rest_framework.request import Request

from api.problems import Code, decline
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

    def after(self, cursor: Cursor, limit: int) -> list[tuple[Cursor, Row]]:
        """Return the rows behind the cursor, each with its own; the empty cursor stands before the first."""

    def from_row(self, number: int, limit: int) -> list[tuple[Cursor, Row]]:
        """Return the rows from this one on (the first is 0)."""


@dataclass(frozen=True, slots=True)
class Rows:
    """A queryset, listed by id: plain rows, not a serializer's, because lists are what clients ask for most.

    `columns` are a row's keys and the columns that they hold.
    """

    queryset: QuerySet[Any]
    columns: Mapping[str, str] = MappingProxyType({"id": "pk", "name": "name"})

    def count(self) -> int:
        """One query."""
        return self.queryset.count()

    def after(self, cursor: Cursor, limit: int) -> list[tuple[Cursor, Row]]:
        """One query over the primary key."""
        rows = self.queryset.filter(pk__gt=cursor[0]) if cursor else self.queryset
        return self._shaped(rows.order_by("pk"), 0, limit)

    def from_row(self, number: int, limit: int) -> list[tuple[Cursor, Row]]:
        """One query that skips the rows before: slower the further on."""
        return self._shaped(self.queryset.order_by("pk"), number, limit)

    def _shaped(self, rows: QuerySet[Any], start: int, limit: int) -> list[tuple[Cursor, Row]]:
        found = rows.values_list("pk", *self.columns.values())[start : start + limit]
        return [([pk], dict(zip(self.columns, row, strict=True))) for pk, *row in found]


@dataclass(frozen=True, slots=True)
class UsedBy:
    """The records of several kinds that refer to one, kind by kind, each by id."""

    references: Sequence[References]

    def count(self) -> int:
        """A query for each kind."""
        return sum(each.rows.count() for each in self.references)

    def after(self, cursor: Cursor, limit: int) -> list[tuple[Cursor, Row]]:
        """At most a query for each kind."""
        kind, last = cursor or [0, 0]
        found: list[tuple[Cursor, Row]] = []
        for index in range(kind, len(self.references)):
            rows = self.references[index].rows.filter(pk__gt=last if index == kind else 0).order_by("pk")
            found += self._shaped(index, rows.values_list("pk", "name")[: limit - len(found)])
            if len(found) >= limit:
                break
        return found

    def from_row(self, number: int, limit: int) -> list[tuple[Cursor, Row]]:
        """At most two queries for each kind."""
        found: list[tuple[Cursor, Row]] = []
        for index, each in enumerate(self.references):
            count = each.rows.count()
            if number < count and len(found) < limit:
                rows = each.rows.order_by("pk").values_list("pk", "name")
                found += self._shaped(index, rows[number : number + limit - len(found)])
            number = max(0, number - count)
        return found

    def _shaped(self, index: int, rows: QuerySet[Any, Any]) -> list[tuple[Cursor, Row]]:
        return [([index, pk], {"type": self.references[index].type, "id": pk, "name": name}) for pk, name in rows]


@dataclass(frozen=True, slots=True)
class Computed:
    """Rows that are at hand, in order of their cursors."""

    rows: Sequence[tuple[Cursor, Row]]

    def count(self) -> int:
        """No query."""
        return len(self.rows)

    def after(self, cursor: Cursor, limit: int) -> list[tuple[Cursor, Row]]:
        """No query."""
        return [row for row in self.rows if row[0] > cursor][:limit]

    def from_row(self, number: int, limit: int) -> list[tuple[Cursor, Row]]:
        """No query."""
        return list(self.rows[number : number + limit])


@dataclass(frozen=True, slots=True)
class Asked:
    """Which page of a list is asked for: by number or, with a cursor, by token."""

    salt: str
    page: int = 0
    cursor: Cursor | None = None
    filters: Mapping[str, str] = field(default_factory=dict)

    def answer(self, key: str, listed: Listed) -> dict[str, Any]:
        """Return the page's rows under the key, and `pagination`."""
        total = listed.count()
        if self.cursor is not None:
            found = listed.after(self.cursor, PER_PAGE + 1)
        elif self.page == 0 or self.page * PER_PAGE < total:
            found = listed.from_row(self.page * PER_PAGE, PER_PAGE + 1)
        else:
            found = []
        has_more, found = len(found) > PER_PAGE, found[:PER_PAGE]
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


def asked(request: Request, *, filters: Sequence[str] = ()) -> Asked:
    """Read `page`, `page_token` and the list's filters from the query string; refuse what is not ours."""
    query = request.query_params
    salt = f"api.greenarrow.pages:{request.path}"
    given = {name: query[name] for name in filters if name in query}
    if "page_token" not in query:
        return Asked(salt, page=_page(query.get("page")), filters=given)
    if "page" in query:
        raise decline(Code.MALFORMED, "page and page_token must not be given together")
    try:
        page, cursor, held = signing.Signer(sep=SEPARATOR, salt=salt).unsign_object(query["page_token"])
    except (signing.BadSignature, ValueError) as exc:
        raise decline(Code.MALFORMED, "page_token is not a token of this list") from exc
    if given and given != held:
        raise decline(Code.MALFORMED, "page_token belongs to a list with other filters")
    return Asked(salt, page=page, cursor=cursor, filters=held)


def _page(text: str | None) -> int:
    if text is None:
        return 0
    if not (text.isascii() and text.isdecimal() and len(text) <= 10 and int(text) <= HIGHEST_PAGE):
        raise decline(Code.MALFORMED, f"page must be an integer from 0 to {HIGHEST_PAGE}")
    return int(text)
