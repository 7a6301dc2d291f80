"""Lists of values as one parameter of a query, however many they are."""

import json
from collections.abc import Iterable

from django.db import connection
from django.db.models.expressions import RawSQL


def texts(values: Iterable[str]) -> RawSQL:
    """Return a subquery of these texts, for `__in`: SQLite takes only so many parameters."""
    words = list(values)
    if connection.vendor == "postgresql":
        return RawSQL("SELECT unnest(%s::text[])", [words])
    return RawSQL("SELECT value FROM json_each(%s)", [json.dumps(words)])
