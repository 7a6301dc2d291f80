"""Queries of every request, with their SQL compiled once, because compiling costs more than executing."""

from collections.abc import Callable
from typing import Any

from django.db import NotSupportedError, connections
from django.db.models import QuerySet

# Stand where the values go while the SQL is made.
_MARK = "\N{REPLACEMENT CHARACTER}value %d\N{REPLACEMENT CHARACTER}"
_MARK_ID = -7_340_918_265

type _Row = tuple[Any, ...]
# The statement, its parameters, which of them is which value, and what is made of which column.
type _Made = tuple[str, list[Any], list[tuple[int, int]], list[tuple[int, list[Any], Any]]]


class Compiled[*Values]:
    """A `values_list` that depends on some values, texts or ids: `Compiled((str,), lambda key: …).first(key)`.

    Building and compiling a queryset with two joins takes several times as long as the database takes to answer. What
    the fields make of a row's values (datetimes and UUIDs on SQLite) is applied as the ORM does. A number that is no id is
    asked for by `__in`: of a column of less than 64 bits, Django knows that none is equal to what stands for it meanwhile.
    """

    def __init__(
        self, kinds: tuple[type[str] | type[int], ...], build: Callable[[*Values], QuerySet[Any, _Row]]
    ) -> None:
        self._marks = [_MARK % index if kind is str else _MARK_ID - index for index, kind in enumerate(kinds)]
        self._build: Callable[..., QuerySet[Any, _Row]] = build
        self._by_alias: dict[str, _Made] = {}

    def first(self, *values: *Values, using: str = "default") -> _Row | None:
        """Return the first row for these values, or None."""
        return next(iter(self._rows(values, using, most=1)), None)

    def all(self, *values: *Values, using: str = "default") -> list[_Row]:
        """Return every row for these values."""
        return self._rows(values, using)

    def _rows(self, values: tuple[Any, ...], using: str, *, most: int | None = None) -> list[_Row]:
        sql, parameters, places, converters = self._by_alias.get(using) or self._compile(using)
        connection = connections[using]
        given = parameters[:]
        for place, index in places:
            given[place] = values[index]
        try:
            rows = _fetched(connection, sql, given, most)
        except NotSupportedError:
            if connection.in_atomic_block:
                raise
            # A migration beside changed the types of its columns: the kept plan fails from now on, and is made anew.
            with connection.cursor() as cursor:
                cursor.execute("DEALLOCATE ALL")
            rows = _fetched(connection, sql, given, most)
        if not converters:
            return rows
        written = [list(row) for row in rows]
        for index, functions, expression in converters:
            for convert in functions:
                for row in written:
                    row[index] = convert(row[index], expression, connection)
        return [tuple(row) for row in written]

    def _compile(self, using: str) -> _Made:
        compiler = self._build(*self._marks).using(using).query.get_compiler(using)
        sql, parameters = compiler.as_sql()
        expressions = [column[0] for column in compiler.select or ()]
        converters = [(index, *each) for index, each in compiler.get_converters(expressions).items()]
        places = [(place, self._marks.index(each)) for place, each in enumerate(parameters) if each in self._marks]
        # Two threads may both come here; they write the same.
        self._by_alias[using] = made = (sql, list(parameters), places, converters)
        return made


def _fetched(connection: Any, sql: str, parameters: list[Any], most: int | None) -> list[_Row]:
    # Planning two joins takes PostgreSQL longer than finding a row: it keeps the plan, where its connections are our own.
    with getattr(connection, "prepared_cursor", connection.cursor)() as cursor:
        cursor.execute(sql, parameters)
        rows: list[_Row] = cursor.fetchall() if most is None else cursor.fetchmany(most)
    return rows
