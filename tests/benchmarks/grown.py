"""Many rows that are like the first of their table, written by SQL: how records are made is not what is measured.

A column has what the first row has, unless an expression is given for it: of `n`, the row's number, and of rows of other
tables by the names that they are joined under. Keys, digests and UUIDs are made by themselves.
"""

from collections.abc import Mapping

from django.db import connection
from django.db.models import Model, UUIDField

from servers.models import Organization

# No list shows more rows on a page: the dialects' show 100 at most, the panel's 50.
PAGE = 110
# The demo has no more of anything that others hang on: but for the `own` records, its tenants stay as they are.
DEMO = 50

type Joined = Mapping[str, type[Model]]


class Rows:
    """Writes rows; `own` are the records that are looked at, by model.

    With `all_own` all that is made hangs on them, until there are `least` of each. Otherwise the organization gets a tenth, and
    the others, which have a full page of everything by then, stay as they are: nobody has a server with thousands of keys.
    `kept` has how many rows of each model stay as they are, of which the first ones are those.
    """

    def __init__(
        self,
        own: Mapping[type[Model], Model],
        *,
        all_own: bool,
        least: int = PAGE,
        kept: Mapping[type[Model], int] | None = None,
    ) -> None:
        self.own, self.all_own, self.least, self.kept = own, all_own, least, kept or {}

    def grow(self, model: type[Model], wanted: float, joined: Joined | None = None, **given: str) -> None:
        """Let the table have so many rows, a page's or what is told at least."""
        start, end = model._default_manager.count(), max(self.least, int(wanted))
        self._write(model, f"SELECT generate_series({start}, {end - 1}) AS n", joined or {}, given)
        assert model._default_manager.count() > 0.9 * end, model._meta.label

    def one_each(
        self, model: type[Model], parent: type[Model], by: str, joined: Joined | None = None, **given: str
    ) -> None:
        """Give every row of the parent's table one that has none: `by` is the column that refers to it."""
        table, key = parent._meta.db_table, _key(parent)
        without = f"NOT EXISTS (SELECT FROM {model._meta.db_table} AS held WHERE held.{by} = {table}.{key})"
        source = f"SELECT *, row_number() OVER (ORDER BY {key}) AS n FROM {table} WHERE {without}"
        self._write(model, source, joined or {}, {by: f"each.{key}", **given})

    def _write(self, model: type[Model], source: str, joined: Joined, given: Mapping[str, str]) -> None:
        assert model._default_manager.exists(), f"make a first row of {model._meta.label}"
        table = model._meta.db_table
        sources = [f"({source}) AS each", f"(SELECT * FROM {table} ORDER BY {_key(model)} LIMIT 1) AS first"]
        where = ["true"]
        for name, parent in joined.items():
            numbered = (
                f"SELECT *, row_number() OVER (ORDER BY {_key(parent)}) - 1 AS place FROM {parent._meta.db_table}"
            )
            sources.append(f"({numbered}) AS {name}")
            where.append(f"{name}.place = {self._place(parent)}")
        columns = self._columns(model, given)
        execute(
            f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(columns.values())}"
            f" FROM {', '.join(sources)} WHERE {' AND '.join(where)} ORDER BY n"
            # An address that the demo warms up, say, is not warmed up once more.
            " ON CONFLICT DO NOTHING"
        )

    def _columns(self, model: type[Model], given: Mapping[str, str]) -> dict[str, str]:
        fields = model._meta.local_concrete_fields
        assert not (unknown := given.keys() - {field.column for field in fields}), unknown
        columns = {}
        for field in fields:
            column = field.column
            if column in given:
                columns[f'"{column}"'] = given[column]
            elif field.primary_key:
                continue
            elif isinstance(field, UUIDField) and field.unique:
                columns[f'"{column}"'] = "gen_random_uuid()"
            elif column == "name_key" and "name" in given:
                columns[f'"{column}"'] = f"lower({given['name']})"
            elif column in ("key_digest", "digest"):
                columns[f'"{column}"'] = f"encode(sha256(('{model._meta.label}' || n)::bytea), 'hex')"
            else:
                columns[f'"{column}"'] = f'first."{column}"'
        return columns

    def _place(self, parent: type[Model]) -> str:
        # Tens are not all of the same parents where the number of these is a multiple of ten.
        total, kept = parent._default_manager.count(), self.kept.get(parent, DEMO)
        # What does not grow with the platform, such as templates, has no others.
        kept = kept if total > kept else DEMO
        others = f"{kept} + (n + n / 10) % {total - kept}"
        if (own := self.own.get(parent)) is None:
            return others
        place = parent._default_manager.filter(pk__lt=own.pk).count()
        if self.all_own:
            return f"{place}"
        return f"CASE WHEN n % 10 = 0 THEN {place} ELSE {others} END" if parent is Organization else others


def _key(model: type[Model]) -> str:
    key = model._meta.pk
    assert key is not None
    return str(key.column)


def execute(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)
