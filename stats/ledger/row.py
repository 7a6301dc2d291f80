"""A row of the ledger as it is read, sorted, packed and stored: declared by the model, from which all else is derived."""

import struct
from collections.abc import Callable, Iterable
from typing import Any

from django.db.models import Field

from stats.models.ledger import Event

# The values of an event in the order of COLUMNS; the batch that it is stored with is not among them.
Row = tuple[Any, ...]

_BATCH = "batch_id"
# By the type of the model's field: the length and the code of the value in PostgreSQL's binary COPY format.
_PACKED = {
    "UUIDField": (16, "16s"),
    "BigIntegerField": (8, "q"),
    "IntegerField": (4, "i"),
    "SmallIntegerField": (2, "h"),
}
_FIELDS = [field for field in Event._meta.concrete_fields if field.attname != _BATCH]
COLUMNS: tuple[str, ...] = tuple(field.attname for field in _FIELDS)
# As SQL has it: the batch comes last.
SQL = ", ".join((*COLUMNS, _BATCH))

# The places of those that code names.
KEY, MINUTE, SERVER, ADDRESS, DOMAIN, SENDER = map(
    COLUMNS.index, ("key", "minute", "server_id", "address_id", "domain_id", "sender_id")
)
KIND, REASON, RECIPIENT, RULE = map(COLUMNS.index, ("kind", "reason", "recipient_id", "rule_id"))
# What must be equal where one identity comes twice: otherwise the two are in conflict.
CONTENT = (ADDRESS, DOMAIN, SENDER, REASON)
CONTENT_COLUMNS: tuple[str, ...] = tuple(COLUMNS[position] for position in CONTENT)


def is_same(one: Row, other: Row) -> bool:
    """Whether two rows of one identity say the same."""
    return all(one[position] == other[position] for position in CONTENT)


def packed(field: "Field[Any, Any]") -> tuple[int, str]:
    """Return the length and the code of a column's values; raises TypeError for one that is no number."""
    kind = field.get_internal_type()
    if kind not in _PACKED:
        raise TypeError(
            f"Event.{field.name} is a {kind}, and a row of the ledger has numbers only. Of a few words store their numbers"
            " (choices, as stats.kinds has them), of many the row of a table that has them (stats.models.names)."
        )
    return _PACKED[kind]


def _packer() -> Callable[[Iterable[Row], int], list[bytes]]:
    """Return the function that packs rows and their batch as COPY wants them: each value after its length.

    Its call is written out, as that of a dataclass's __init__ is: chaining lengths and values together for each row takes
    three times as long, and packing is most of what storing costs this process.
    """
    types = [packed(field) for field in _FIELDS] + [_PACKED["BigIntegerField"]]
    pack = struct.Struct(">h" + "".join(f"i{code}" for _, code in types)).pack
    values = ", ".join(f"{length}, {name}" for (length, _), name in zip(types, (*COLUMNS, _BATCH), strict=True))
    source = f"lambda rows, {_BATCH}: [pack({len(types)}, {values}) for {', '.join(COLUMNS)} in rows]"
    packer: Callable[[Iterable[Row], int], list[bytes]] = eval(source, {"pack": pack})  # noqa: S307 - names of our columns
    return packer


pack_rows = _packer()
