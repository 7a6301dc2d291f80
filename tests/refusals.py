"""Bad states that the database itself must refuse, one for each constraint, by name."""

import re
import sqlite3
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from django.apps import apps
from django.db import IntegrityError, connection, models, transaction

type Write = Callable[[], object]


class Refusals:
    """The bad writes of an app's constraints. `by(name)` adds one; `as_test()` makes a test of each."""

    def __init__(self, app: str) -> None:
        self.app = app
        self.writes: dict[str, Write] = {}

    def by(self, *names: str) -> Callable[[Write], Write]:
        """Say that the write is refused by this constraint, or by any of the parts it has to break at once."""

        def register(write: Write) -> Write:
            for name in names:
                assert name not in self.writes, name
                self.writes[name] = write
            return write

        return register

    def as_test(self) -> Callable[[str], None]:
        @pytest.mark.storage
        @pytest.mark.django_db
        @pytest.mark.parametrize("name", sorted(self.writes))
        def test_the_database_refuses(name: str) -> None:
            with pytest.raises(IntegrityError) as refusal, transaction.atomic():
                self.writes[name]()
            assert refused_by(refusal.value) == EXPECTED[connection.vendor](constraints_of(self.app)[name])

        return test_the_database_refuses


def constraints_of(app: str) -> dict[str, Any]:
    """Return what the app's tables are bound by: named constraints, and `app.Model.field` for fields that are unique."""
    found: dict[str, Any] = {}
    for model in apps.get_app_config(app).get_models():
        found |= {constraint.name: (model, constraint) for constraint in model._meta.constraints}
        for field in model._meta.local_concrete_fields:
            if field.unique and not field.primary_key:
                found[f"{app}.{model.__name__}.{field.name}"] = (model, field)
    return found


def refused_by(exc: IntegrityError) -> object:
    """Return which constraint it was, in the engine's own terms: PostgreSQL names it, SQLite a CHECK or columns."""
    cause = exc.__cause__
    if isinstance(cause, psycopg.Error):
        name = cause.diag.constraint_name
        if any(name == constraint.name for model in apps.get_models() for constraint in model._meta.constraints):
            return name
        # A field that is unique: Django made the name up.
        columns = re.match(r"Key \((.+?)\)=", cause.diag.message_detail or "")
        return cause.diag.table_name, columns and columns[1]
    assert isinstance(cause, sqlite3.Error)
    return str(cause)


def beyond_a_limit() -> int:
    """Return a number that only the constraint keeps out of a LimitField: the engines' column types differ."""
    return -1 if connection.vendor == "postgresql" else 2**31


def _on_postgresql(found: tuple[type[models.Model], Any]) -> object:
    model, constraint = found
    if isinstance(constraint, models.Field):
        return (model._meta.db_table, constraint.column)
    return constraint.name


def _on_sqlite(found: tuple[type[models.Model], Any]) -> object:
    model, constraint = found
    if isinstance(constraint, models.CheckConstraint):
        return f"CHECK constraint failed: {constraint.name}"
    fields = [constraint] if isinstance(constraint, models.Field) else map(model._meta.get_field, constraint.fields)
    return "UNIQUE constraint failed: " + ", ".join(f"{model._meta.db_table}.{field.column}" for field in fields)


EXPECTED = {"postgresql": _on_postgresql, "sqlite": _on_sqlite}
