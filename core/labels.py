"""Unique labels for records in CSV files: each label identifies one record.

A record is called by its name where that can be read back, else by its id with a sign before it: `#12`.
"""

import re
from collections.abc import Iterable

from core.names import fold

# Takes a value away, where an empty cell leaves it as it is.
NOTHING = "none"
_ID = re.compile(r"#[0-9]{1,18}", re.ASCII)


class Unreadable(Exception):
    """The label identifies no record, or more than one."""


class Labels:
    """The labels of a number of records, both ways. `forbidden` are characters that no label may have in this file."""

    def __init__(self, names: Iterable[tuple[int, str]], *, forbidden: str = "") -> None:
        names = list(names)
        self._forbidden = set(forbidden)
        self._by_key: dict[str, list[int]] = {}
        for pk, name in names:
            self._by_key.setdefault(fold(name), []).append(pk)
        self._by_pk = {pk: self._label(pk, name) for pk, name in names}

    def of(self, pk: int | None) -> str:
        """Return the record's label; empty for None."""
        return "" if pk is None else self._by_pk[pk]

    def pk_of(self, label: str) -> int:
        """Return the record's id for a label, case-insensitively; raises Unreadable with a sentence part."""
        if _ID.fullmatch(label):
            pk = int(label[1:])
            if pk not in self._by_pk:
                raise Unreadable(f"names “{label}”: no record has this id")
            return pk
        found = self._by_key.get(fold(label), [])
        if not found:
            raise Unreadable(f"names “{label}”, which does not exist")
        if len(found) > 1:
            ids = " or ".join(f"#{pk}" for pk in found[:5])
            raise Unreadable(f"names “{label}”, which several records are named: use the id instead ({ids})")
        return found[0]

    def _label(self, pk: int, name: str) -> str:
        is_readable = (
            name == name.strip()
            and not self._forbidden & set(name)
            and not _ID.fullmatch(name)
            and fold(name) != NOTHING
            and len(self._by_key[fold(name)]) == 1
        )
        return name if is_readable else f"#{pk}"
