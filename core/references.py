"""References to records, by id or by name, as programs and forms give them."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import Model, QuerySet

from core.attributes import ABSENT, Absent, Attributes
from core.names import fold

# No record has a greater id, and neither database can compare with one.
HIGHEST_ID = 2**63 - 1
_DIGITS = re.compile(r"[0-9]{1,19}", re.ASCII)
# SQLite takes some 30,000 parameters in a statement.
_BATCH = 500


@dataclass(frozen=True, slots=True)
class Reference:
    """A record meant by its id or, without one, by its folded name; `path` says where it was given."""

    id: int | None
    name_key: str | None
    path: str


def whole_id(value: object) -> int | None:
    """Return an id given as an integer or a numeric string; None for anything else, and for what no record can have."""
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= HIGHEST_ID:
        return None
    return value


def read_reference(
    attributes: Attributes, name: str, *, is_required: bool = True, is_nullable: bool = False
) -> Reference | Absent | None:
    """Read `{"id": …}` or `{"name": …}`. The id wins, and a null id counts as absent; names are compared folded."""
    part = attributes.part(name, is_required=is_required, is_nullable=is_nullable, is_partial=False)
    if part is None or part is ABSENT:
        return part
    given_id = part.value("id", is_required=False)
    if given_id is not ABSENT and given_id is not None:
        if isinstance(given_id, bool) or not isinstance(given_id, int | str):
            return part.fault("id", "must be an integer")
        # What cannot be an id refers to nothing: 0 is nobody's.
        return Reference(whole_id(given_id) or 0, None, part.path)
    given_name = part.value("name", is_required=False)
    if given_name is ABSENT or given_name is None:
        return part.fault("", "must have an id or a name")
    if not isinstance(given_name, str):
        return part.fault("name", "must be a string")
    return Reference(None, fold(given_name), part.path)


class Resolved:
    """The records that a number of references mean, found in a constant number of queries."""

    def __init__(self, records: Iterable[Any]) -> None:
        self._by_id: dict[int, Any] = {}
        self._by_name: dict[str, Any] = {}
        for record in records:
            self._by_id[record.pk] = record
            self._by_name[record.name_key] = record

    def record(self, reference: Reference) -> Any:
        """Return the record, or None where there is none."""
        if reference.id is not None:
            return self._by_id.get(reference.id)
        return self._by_name.get(reference.name_key or "")

    def id_of(self, reference: Reference | Absent | None, attributes: Attributes, noun: str) -> int | Absent | None:
        """Return the record's id; where there is none, gather a fault. None and ABSENT stay what they are."""
        if not isinstance(reference, Reference):
            return reference
        record = self.record(reference)
        if record is None:
            attributes.fault_at(reference.path, f"refers to a {noun} that does not exist")
            return ABSENT
        return record.pk


def resolve[M: Model](queryset: QuerySet[M], references: Iterable[Reference | Absent | None]) -> Resolved:
    """Find the records of all these references; the model has a `name_key`."""
    given = [each for each in references if isinstance(each, Reference)]
    ids = sorted({each.id for each in given if each.id})
    # A name that cannot be stored is nobody's, and PostgreSQL would not even compare it.
    keys = sorted({each.name_key for each in given if each.name_key and _is_comparable(each.name_key)})
    records: list[M] = []
    for some_ids in _batches(ids):
        records += queryset.filter(pk__in=some_ids)
    for some_keys in _batches(keys):
        records += queryset.filter(name_key__in=some_keys)
    return Resolved(records)


def _is_comparable(text: str) -> bool:
    return "\x00" not in text and not any("\ud800" <= char <= "\udfff" for char in text)


def _batches[T](values: list[T]) -> Iterator[list[T]]:
    return (values[start : start + _BATCH] for start in range(0, len(values), _BATCH))
