"""Queries of every request, with their SQL compiled once, because compiling costs more than executing."""

from collections.abc import Callable
from typing import Any, cast

from django.db import NotSupportedError, connections
from django.db.models import QuerySet

# Stand where the value goes while the SQL is made.
_MARK = "\N{REPLACEMENT CHARACTER}value\N{REPLACEMENT CHARACTER}"
_MARK_ID = -7_340_918_265

type _Row = tuple[Any, ...]
type _Made = tuple[str, list[Any], int, list[tuple[int, list[Any], Any]]]


class Compiled[Value: str | int]:
    """A `values_list` that depends on one value, a text or an id: `Compiled(str, lambda key: …).first(key)`.

    Building and compiling a queryset with two joins takes several times as long as the database takes to answer. What
    the fields make of a row's values (datetimes and UUIDs on SQLite) is applied as the ORM does.
    """

    def __init__(self, kind: type[Value], build: Callable[[Value], QuerySet[Any, _Row]]) -> None:
        self._mark: Value = cast(Value, _MARK if kind is str else _MARK_ID)
        self._build = build
        self._by_alias: dict[str, _Made] = {}

    def first(self, value: Value, *, using: str = "default") -> _Row | None:
        """Return the first row for this value, or None."""
        return next(iter(self._rows(value, using, most=1)), None)

    def all(self, value: Value, *, using: str = "default") -> list[_Row]:
        """Return every row for this value."""
        return self._rows(value, using)

    def _rows(self, value: Value, using: str, *, most: int | None = None) -> list[_Row]:
        sql, parameters, place, converters = self._by_alias.get(using) or self._compile(using)
        connection = connections[using]
        given = [*parameters[:place], value, *parameters[place + 1 :]]
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
                for values in written:
                    values[index] = convert(values[index], expression, connection)
        return [tuple(values) for values in written]

    def _compile(self, using: str) -> _Made:
        compiler = self._build(self._mark).using(using).query.get_compiler(using)
        sql, parameters = compiler.as_sql()
        expressions = [column[0] for column in compiler.select or ()]
        converters = [(index, *each) for index, each in compiler.get_converters(expressions).items()]
        # Two threads may both come here; they write the same.
        self._by_alias[using] = made = (sql, list(parameters), list(parameters).index(self._mark), converters)
        return made


def _fetched(connection: Any, sql: str, parameters: list[Any], most: int | None) -> list[_Row]:
    # Planning two joins takes PostgreSQL longer than finding a row: it keeps the plan, where its connections are our own.
    with getattr(connection, "prepared_cursor", connection.cursor)() as cursor:
        cursor.execute(sql, parameters)
        rows: list[_Row] = cursor.fetchall() if most is None else cursor.fetchmany(most)
    return rows
