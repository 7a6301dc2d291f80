"""Queries of every request, with their SQL compiled once, because compiling costs more than executing."""

from collections.abc import Callable
from typing import Any, cast

from django.db import connections
from django.db.models import QuerySet

# Stands where the value goes while the SQL is made.
_MARK = "\N{REPLACEMENT CHARACTER}value\N{REPLACEMENT CHARACTER}"


class CompiledRow:
    """The first row of a `values_list` that depends on one text: `CompiledRow(lambda key: …).of(connection, key)`.

    Building and compiling a queryset with two joins takes several times as long as the database takes to answer. What
    the fields make of a row's values (datetimes and UUIDs on SQLite) is applied as the ORM does.
    """

    def __init__(self, build: Callable[[str], QuerySet[Any, tuple[Any, ...]]]) -> None:
        self._build = build
        self._by_alias: dict[str, tuple[str, list[Any], int, list[tuple[int, list[Any], Any]]]] = {}

    def of(self, value: str, *, using: str = "default") -> tuple[Any, ...] | None:
        """Return the row for this value, or None."""
        sql, parameters, place, converters = self._by_alias.get(using) or self._compile(using)
        connection = connections[using]
        with connection.cursor() as cursor:
            cursor.execute(sql, [*parameters[:place], value, *parameters[place + 1 :]])
            row = cursor.fetchone()
        if row is None or not converters:
            return cast("tuple[Any, ...] | None", row)
        values = list(row)
        for index, functions, expression in converters:
            for convert in functions:
                values[index] = convert(values[index], expression, connection)
        return tuple(values)

    def _compile(self, using: str) -> tuple[str, list[Any], int, list[tuple[int, list[Any], Any]]]:
        compiler = self._build(_MARK).using(using)[:1].query.get_compiler(using)
        sql, parameters = compiler.as_sql()
        expressions = [column[0] for column in compiler.select or ()]
        converters = [(index, *each) for index, each in compiler.get_converters(expressions).items()]
        # Two threads may both come here; they write the same.
        self._by_alias[using] = made = (sql, list(parameters), list(parameters).index(_MARK), converters)
        return made
