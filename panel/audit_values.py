"""Recorded states as people read them: columns by their labels, records by their names, times in the viewer's zone."""

import datetime
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.db.models import ForeignKey
from django.http import HttpRequest
from django.utils import formats, timezone

from core.models import AuditEntry

NOTHING = "—"
SHOWN_LENGTH = 400
# References inside documents: `{"throttle_program": {"id": 3}}`.
_NESTED = {"throttle_program": "throttling.throttleprogram", "virtual_mta": "ippools.virtualmta"}
# What an act recorded as a list of ids, by the act.
_LISTS = {"ip_pool_rule.ordered": ("ids", "servers.ippoolrule")}
# A state names few records; one that names more is cut anyway, and no page asks for more at once.
_MOST_NAMED = 500

type Names = Mapping[tuple[str, Any], str]
type State = dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Difference:
    """One field in two states, as people read it. `before` is None where there was no record."""

    field: str
    before: str | None
    after: str | None


class Reader:
    """Tells the differences of recorded states, with the names of the records that they refer to.

    `names` is filled for all entries of a page at once: one query for each kind of record, however many entries.
    """

    def __init__(self, request: HttpRequest, entries: Iterable[AuditEntry]) -> None:
        wanted: dict[str, set[Any]] = {}
        for entry in entries:
            for state in (entry.before, entry.after):
                for label, pk in _references(entry, state):
                    wanted.setdefault(label, set()).add(pk)
        self.names = {
            (label, pk): name for label, ids in wanted.items() for pk, name in _names(request, label, ids).items()
        }

    def of_entry(self, entry: AuditEntry) -> list[Difference]:
        """Return what the entry changed."""
        return self.between(entry, entry.before, entry.after)

    def between(self, entry: AuditEntry, before: State, after: State) -> list[Difference]:
        """Return the fields that differ between two states of the entry's record; None: there was no record."""
        old, new = before or {}, after or {}
        model = _model(entry.target_type)
        found = []
        for name in dict.fromkeys([*new, *old]):
            if old.get(name) == new.get(name):
                continue
            was, is_now = (self._shown(entry, model, name, state.get(name)) for state in (old, new))
            if was != is_now:
                sides = (None if before is None else was, None if after is None else is_now)
                found.append(Difference(label_of(model, name), *sides))
        return found

    def _shown(self, entry: AuditEntry, model: Any, name: str, value: Any) -> str:
        kind = _kind_of(entry, model, name)
        if kind is not None and isinstance(value, list):
            return shown([self._named(kind, each) for each in value])
        if kind is not None and value is not None:
            return self._named(kind, value)
        field = _field(model, name)
        if field is not None and field.choices and (word := dict(field.flatchoices).get(value)):
            return str(word)
        return shown(value, self._nested)

    def _nested(self, name: str, value: Any) -> str | None:
        if name in _NESTED and isinstance(value, dict) and "id" in value:
            return self._named(_NESTED[name], value["id"])
        return None

    def _named(self, label: str, pk: Any) -> str:
        # Of a record that is gone, or that the person may not see, no more than its id is told.
        return self.names.get((label, pk), f"no. {pk}")


def label_of(model: Any, attribute: str) -> str:
    """Return a column's name as the forms call it."""
    field = _field(model, attribute)
    return attribute.replace("_", " ") if field is None else str(field.verbose_name)


def shown(value: Any, nested: Callable[[str, Any], str | None] = lambda name, value: None) -> str:
    """Return a stored value as a person reads it; `nested` may say more of a value inside others."""
    match value:
        case None | "":
            return NOTHING
        case True:
            return "yes"
        case False:
            return "no"
        case list():
            return ", ".join(shown(each, nested) for each in value)[:SHOWN_LENGTH] or NOTHING
        case dict():
            parts = (
                f"{key.replace('_', ' ')}: {nested(key, each) or shown(each, nested)}" for key, each in value.items()
            )
            return "; ".join(parts)[:SHOWN_LENGTH] or NOTHING
        case str() if (at := _time(value)) is not None:
            return formats.date_format(timezone.localtime(at), "DATETIME_FORMAT")
        case _:
            return str(value)[:SHOWN_LENGTH]


def _time(text: str) -> datetime.datetime | None:
    """Return the time of a text as `core.audit` writes times; anything else is text."""
    if len(text) < len("2026-01-01T00:00+00:00") or text[10] != "T":
        return None
    try:
        at = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo is not None else None


def _model(label: str) -> Any:
    try:
        return apps.get_model(label)
    except (LookupError, ValueError):
        # The trail outlives models.
        return None


def _field(model: Any, attribute: str) -> Any:
    fields = () if model is None else model._meta.concrete_fields
    return next((field for field in fields if field.attname == attribute), None)


def _kind_of(entry: AuditEntry, model: Any, name: str) -> str | None:
    """Return the label of the model that a value of the state refers to by id, None where it is a plain value."""
    listed, kind = _LISTS.get(entry.act, ("", ""))
    if name == listed:
        return kind
    field = _field(model, name)
    # The base table's row of an address has the address's own id.
    is_reference = isinstance(field, ForeignKey) and not field.primary_key
    return field.remote_field.model._meta.label_lower if is_reference else None


def _references(entry: AuditEntry, state: State) -> Iterable[tuple[str, Any]]:
    model = _model(entry.target_type)
    for name, value in (state or {}).items():
        kind = _kind_of(entry, model, name)
        if kind is not None:
            yield from ((kind, each) for each in (value if isinstance(value, list) else [value]) if each is not None)
        else:
            yield from _nested_references(value)


def _nested_references(value: Any) -> Iterable[tuple[str, Any]]:
    match value:
        case dict():
            for name, each in value.items():
                if name in _NESTED and isinstance(each, dict) and "id" in each:
                    yield _NESTED[name], each["id"]
                else:
                    yield from _nested_references(each)
        case list():
            for each in value:
                yield from _nested_references(each)


def _names(request: HttpRequest, label: str, ids: set[Any]) -> dict[Any, str]:
    """Return the names of those of the records that the person may see, by one query."""
    page: Any = admin.site._registry.get(_model(label))
    if page is None:
        return {}
    numbers = sorted(each for each in ids if isinstance(each, int))[:_MOST_NAMED]
    return {record.pk: page.choice_label(record) for record in page.get_queryset(request).filter(pk__in=numbers)}
