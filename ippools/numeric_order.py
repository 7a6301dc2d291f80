"""The order of IP addresses as numbers, on both databases."""

from typing import Any

from django.db.models import BigIntegerField, Func


class AsNumber(Func):
    """A column of IPv4 addresses, to order by: 192.0.2.9 comes before 192.0.2.10.

    PostgreSQL orders its type `inet` so; SQLite has text, of which the numbers between the points are taken.
    """

    arity = 1
    template = "%(expressions)s"
    output_field = BigIntegerField()

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> tuple[str, Any]:
        rest, params = compiler.compile(self.source_expressions[0])
        # The column is named several times in what follows, which parameters could not be.
        assert not params
        number = f"CAST({rest} AS INTEGER)"
        for _ in range(3):
            rest = f"substr({rest}, instr({rest}, '.') + 1)"
            number = f"({number} * 256 + CAST({rest} AS INTEGER))"
        return number, ()
