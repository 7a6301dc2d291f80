"""Resolves references to records, by id or by name, as API clients and files give them."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import Model, QuerySet

from core.errors import Faults
from core.names import fold
from core.texts import is_storable

# No record has a greater id, and neither database can compare with one.
HIGHEST_ID = 2**63 - 1
_DIGITS = re.compile(r"[0-9]{1,19}", re.ASCII)
# SQLite takes some 30,000 parameters in a statement.
_BATCH = 500


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference to a record by id or, without one, by its name, case-insensitively."""

    id: int | None = None
    name: str = ""


def whole_id(value: object) -> int | None:
    """Return an id given as an integer or a numeric string; None for anything else, or if it is out of range."""
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= HIGHEST_ID:
        return None
    return value


class Resolved[M: Model]:
    """The records of several references, found in a constant number of queries."""

    def __init__(self, records: Iterable[Any]) -> None:
        self._by_id: dict[int, M] = {}
        self._by_name: dict[str, M] = {}
        for record in records:
            self._by_id[record.pk] = record
            self._by_name[record.name_key] = record

    def record(self, reference: Reference) -> M | None:
        """Return the record, or None."""
        return self._by_name.get(fold(reference.name)) if reference.id is None else self._by_id.get(reference.id)

    def id_of(self, reference: Reference | None, path: str, noun: str, faults: Faults) -> int | None:
        """Return the record's id, None without a reference; add a fault of this path if it does not exist."""
        if reference is None:
            return None
        record = self.record(reference)
        if record is None:
            faults.add(path, f"refers to a {noun} that does not exist")
            return None
        pk: int = record.pk
        return pk


def resolve[M: Model](queryset: QuerySet[M], references: Iterable[Reference | None]) -> Resolved[M]:
    """Find the records of all these references; the model has a `name_key`."""
    given = [each for each in references if each is not None]
    ids = sorted({each.id for each in given if each.id})
    # A name that cannot be stored matches no record, and PostgreSQL would refuse to compare it.
    keys = sorted({fold(each.name) for each in given if each.id is None and each.name and is_storable(each.name)})
    records: list[M] = []
    for some_ids in _batches(ids):
        records += queryset.filter(pk__in=some_ids)
    for some_keys in _batches(keys):
        records += queryset.filter(name_key__in=some_keys)
    return Resolved(records)


def _batches[T](values: list[T]) -> Iterator[list[T]]:
    return (values[start : start + _BATCH] for start in range(0, len(values), _BATCH))
