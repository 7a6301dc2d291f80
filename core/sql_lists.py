"""Lists of values as one parameter of a query, however many they are."""

import json
from collections.abc import Iterable
from typing import Any

from django.db import connection
from django.db.models.expressions import RawSQL


def texts(values: Iterable[str]) -> RawSQL:
    """Return a subquery of these texts, for `__in`: SQLite takes only so many parameters."""
    words = list(values)
    if connection.vendor == "postgresql":
        return RawSQL("SELECT unnest(%s::text[])", [words])
    return RawSQL("SELECT value FROM json_each(%s)", [json.dumps(words)])


def ids(values: Iterable[int]) -> RawSQL:
    """Return a subquery of these ids, for `__in`: one parameter however many they are.

    On PostgreSQL 15 a range of buckets together with `= ANY(array)` reads the whole range for each of the ids (60 times
    slower); `IN (SELECT …)` reads it once and joins.
    """
    return ids_in(id_list(values))


# Looking for each of more keys in each bucket costs more than reading the buckets once.
_FEW = 1_000


def sought(values: Iterable[int]) -> RawSQL | list[int]:
    """Return these ids, for `__in` beside a list of buckets: few of them as they are, more as a subquery.

    A few are found by the primary key, in each bucket; for a subquery PostgreSQL reads the buckets of everybody's counts, which
    takes a hundred times as long where there are tens of thousands of servers or addresses.
    """
    numbers = list(values)
    return numbers if len(numbers) <= _FEW else ids(numbers)


def id_list(values: Iterable[int]) -> str:
    """Return these ids as the one text that `ids_in` takes."""
    numbers = ",".join(map(str, values))
    # As text on PostgreSQL too: psycopg looks at every element of a list, which takes longer than the query.
    return f"{{{numbers}}}" if connection.vendor == "postgresql" else f"[{numbers}]"


def ids_in(listed: Any) -> RawSQL:
    """Return a subquery of the ids of a text that `id_list` made, or that will stand there: for queries that are made once."""
    if connection.vendor == "postgresql":
        return RawSQL("SELECT unnest(%s::bigint[])", [listed])
    return RawSQL("SELECT value FROM json_each(%s)", [listed])


def addresses(values: Iterable[str]) -> RawSQL:
    """Return a subquery of these IP addresses, for `__in`."""
    words = list(values)
    if connection.vendor == "postgresql":
        return RawSQL("SELECT unnest(%s::inet[])", [words])
    return RawSQL("SELECT value FROM json_each(%s)", [json.dumps(words)])
