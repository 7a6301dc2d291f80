"""Compares two recorded states of a record. Presentation is elsewhere (panel.audit_values).

A state is JSON. Within it dictionaries are compared key by key and lists of records (rules, overrides) record by record: a
change of one number in one of 250 rules is one difference, and no length of a value can hide one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

# What a record within a list is known by: its id, where both states have it, or what people call it.
NAMED_BY = ("domains", "name", "domain", "pattern", "virtual_mta")
ADDED, REMOVED, CHANGED, ORDERED = "added", "removed", "changed", "order changed"


@dataclass(frozen=True, slots=True)
class Change:
    """One value that differs. `path` leads to it from the state: keys, and the records of lists on the way."""

    path: tuple[Any, ...]
    kind: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Element:
    """A record of a list, as a step of a path."""

    value: Any


def changes(before: Any, after: Any, path: tuple[Any, ...] = ()) -> Iterator[Change]:
    """Yield the differences between two values, as deep as possible."""
    # By their text, because 1 == True.
    if repr(before) == repr(after):
        return
    match before, after:
        case dict(), dict():
            for key in dict.fromkeys([*after, *before]):
                yield from changes(before.get(key), after.get(key), (*path, key))
        case list(), list() if _are_records(before) and _are_records(after):
            yield from _of_records(before, after, path)
        case _:
            yield Change(path, CHANGED, before, after)


def _are_records(values: list[Any]) -> bool:
    return all(isinstance(each, dict) for each in values)


def _of_records(before: list[Any], after: list[Any], path: tuple[Any, ...]) -> Iterator[Change]:
    pairs = _pairs(before, after)
    matched = {new: old for old, new in pairs}
    for number, value in enumerate(after):
        if number in matched:
            old = before[matched[number]]
            yield from changes(_without_id(old), _without_id(value), (*path, Element(old)))
        else:
            yield Change((*path, Element(value)), ADDED, None, value)
    kept = {old for old, _ in pairs}
    for number, value in enumerate(before):
        if number not in kept:
            yield Change((*path, Element(value)), REMOVED, value, None)
    order = [old for old, _ in sorted(pairs, key=lambda pair: pair[1])]
    if order != sorted(order):
        old_order, new_order = [before[each] for each in sorted(order)], [before[each] for each in order]
        yield Change(path, ORDERED, [Element(each) for each in old_order], [Element(each) for each in new_order])


def _pairs(before: list[Any], after: list[Any]) -> list[tuple[int, int]]:
    """Match the records of two lists: by id, then by name, then by content."""
    found: dict[int, int] = {}
    free_old, free_new = set(range(len(before))), set(range(len(after)))
    for key_of in (_id_of, _name_of, _without_id_text):
        keys: dict[Any, int] = {}
        for old in sorted(free_old, reverse=True):
            if (key := key_of(before[old])) is not None:
                keys[key] = old
        for new in sorted(free_new):
            if (key := key_of(after[new])) is not None and key in keys:
                old = keys.pop(key)
                found[old] = new
                free_old.discard(old)
                free_new.discard(new)
    return sorted(found.items())


def _id_of(record: dict[str, Any]) -> Any:
    return record.get("id")


def _name_of(record: dict[str, Any]) -> str | None:
    return next((repr(record[name]) for name in NAMED_BY if record.get(name)), None)


def _without_id_text(record: dict[str, Any]) -> str:
    return repr(sorted(_without_id(record).items(), key=lambda item: item[0]))


def _without_id(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name != "id"}
