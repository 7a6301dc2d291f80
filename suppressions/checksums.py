"""Sums over an organization's entries that a node computes likewise (agent/agent_audit.py), so that copies can be compared."""

import datetime
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import BigIntegerField, Count, Func, Q, Sum
from django.db.models.functions import Coalesce

from suppressions.models import Suppression

_DIGITS = 8
# Sums of five million products stay below 2^63, which SQLite cannot pass.
_OF_NUMBER, _OF_SECONDS = 65_536, 1_000_003
_LENGTH = 32


@dataclass(frozen=True, slots=True)
class Checksum:
    """How many entries there are, and a digest of which: of their addresses' digests, servers and ends."""

    entries: int
    digest: str


class _Number(Func):
    """The first digits of a digest as a number."""

    output_field = BigIntegerField()
    arity = 1

    def as_postgresql(self, compiler: Any, connection: BaseDatabaseWrapper, **more: Any) -> tuple[str, Any]:
        template = f"('x' || left(%(expressions)s, {_DIGITS}))::bit({4 * _DIGITS})::bigint"
        return super().as_sql(compiler, connection, template=template, **more)

    def as_sqlite(self, compiler: Any, connection: BaseDatabaseWrapper, **more: Any) -> tuple[str, Any]:
        digits = [
            f"(instr('0123456789abcdef', substr(%(expressions)s, {place}, 1)) - 1) * {16 ** (_DIGITS - place)}"
            for place in range(1, _DIGITS + 1)
        ]
        return super().as_sql(compiler, connection, template=f"({' + '.join(digits)})", **more)


class _Remainder(Func):
    """What is left of a division; Django's own is a function of Python's on SQLite, and slow."""

    output_field = BigIntegerField()
    arity = 2
    template = "(%(expressions)s)"
    arg_joiner = " %% "


class _Seconds(Func):
    """A time as whole seconds since 1970."""

    output_field = BigIntegerField()
    arity = 1

    def as_postgresql(self, compiler: Any, connection: BaseDatabaseWrapper, **more: Any) -> tuple[str, Any]:
        template = "floor(extract(epoch from %(expressions)s))::bigint"
        return super().as_sql(compiler, connection, template=template, **more)

    def as_sqlite(self, compiler: Any, connection: BaseDatabaseWrapper, **more: Any) -> tuple[str, Any]:
        # Without the fraction, which strftime rounds.
        template = "cast(strftime('%%%%s', substr(%(expressions)s, 1, 19)) as integer)"
        return super().as_sql(compiler, connection, template=template, **more)


def checksum(organization_id: int, *, until: datetime.datetime) -> Checksum:
    """Return the sum of what applies and does not end before a time. One query, which reads the whole list."""
    number = _Number("digest")
    ends = Coalesce(_Remainder(_Seconds("expires_at"), _OF_SECONDS), 0, output_field=BigIntegerField())
    still = Q(expires_at=None) | Q(expires_at__gt=until)
    rows = (
        Suppression.objects.filter(still, organization=organization_id, removed_at=None)
        .order_by()
        .values("server__uuid")
        .annotate(entries=Count("pk"), numbers=Sum(number), products=Sum(_Remainder(number, _OF_NUMBER) * ends))
        .values_list("server__uuid", "entries", "numbers", "products")
    )
    groups: list[list[Any]] = sorted(["" if server is None else str(server), *map(int, sums)] for server, *sums in rows)
    text = json.dumps(groups, separators=(",", ":"))
    return Checksum(sum(group[1] for group in groups), hashlib.sha256(text.encode()).hexdigest()[:_LENGTH])
