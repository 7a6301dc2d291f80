"""Recorded states in readable form: column labels, record names, and times in the viewer's time zone.

What differs is decided by panel.audit_differences on the raw values; here it is only put into words. A long value is cut at a
word, and the text says how much is left out.
"""

import datetime
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.db.models import CharField, DateField, DateTimeField, ForeignKey, TextField
from django.http import HttpRequest
from django.utils import formats, timezone

from core.models import AuditEntry
from ippools.models.routing_rule import Randomization
from panel import audit_differences
from panel.audit_differences import NAMED_BY, Change, Element
from panel.viewer import viewer_of
from throttling.drafts import LIMITS

NOTHING = "—"
SHOWN_LENGTH = 400
# References inside documents: `{"throttle_program": {"id": 3}}`.
_NESTED = {"throttle_program": "throttling.throttleprogram", "virtual_mta": "ippools.virtualmta"}
# What an act recorded as a list of ids, by the act.
_LISTS = {"ip_pool_rule.ordered": ("ids", "servers.ippoolrule")}
# A state names few records; one that names more is cut anyway, and no page asks for more at once.
_MOST_NAMED = 500
# Of the records of a list (rules) that was made or deleted with the whole.
_MOST_LINES = 20

# Columns that people have other words for.
_FIELDS = {
    "is_default": "default",
    "is_builtin": "built in",
    "is_staff": "may use the panel",
    "is_superuser": "superuser",
    "is_active": "may sign in",
    "email": "e-mail address",
    "randomization_type": "chosen anew for",
    "max_concurrent_connections": "connections at once",
    "max_messages_per_hour": "messages per hour",
}
# Columns that no page shows and no act sets.
_INNER = {"id", "last_assigned_seq", "overlay_number"}
# Parts of documents that are no columns.
_LABELS = {"default": "to all other domains"}

type Names = Mapping[tuple[str, Any], str]
type State = dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Difference:
    """One field in two states, for people. `before` is None if the record did not exist."""

    field: str
    before: str | None
    after: str | None


class Reader:
    """Formats the differences of recorded states, with the names of referenced records.

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
        gone = {(label, pk) for label, ids in wanted.items() for pk in ids} - self.names.keys()
        self.names |= _last_names(request, gone)

    def of_entry(self, entry: AuditEntry) -> list[Difference]:
        """Return what the entry changed."""
        return self.between(entry, entry.before, entry.after)

    def between(self, entry: AuditEntry, before: State, after: State) -> list[Difference]:
        """Return the differences between two states of the entry's record; None: the record did not exist."""
        model = _model(entry.target_type)
        old, new = _told(model, before), _told(model, after)
        if before is None or after is None:
            # Made or deleted: a line for each field that says something.
            found: list[Difference] = []
            for name in dict.fromkeys([*new, *old]):
                if records := _records_in(new.get(name) or old.get(name)):
                    kind = audit_differences.ADDED if before is None else audit_differences.REMOVED
                    found += self._each_of(entry, model, name, kind, records)
                    continue
                was, is_now = (self._shown(entry, model, name, state.get(name)) for state in (old, new))
                if was != is_now:
                    sides = (None if before is None else cut(was), None if after is None else cut(is_now))
                    found.append(Difference(label_of(model, name), *sides))
            return found
        return [self._difference(entry, model, each) for each in audit_differences.changes(old, new)]

    def _each_of(
        self, entry: AuditEntry, model: Any, name: str, kind: str, records: list[dict[str, Any]]
    ) -> Iterator[Difference]:
        """Yield a line for each record of a list that was made or deleted with the whole."""
        for each in records[:_MOST_LINES]:
            sides = (None, each) if kind == audit_differences.ADDED else (each, None)
            yield self._difference(entry, model, Change((name, Element(each)), kind, *sides))
        if len(records) > _MOST_LINES:
            more = f"… and {len(records) - _MOST_LINES:,} more"
            is_new = kind == audit_differences.ADDED
            yield Difference(label_of(model, name), None if is_new else more, more if is_new else None)

    def _difference(self, entry: AuditEntry, model: Any, change: Change) -> Difference:
        name, *inside = change.path
        if not inside and change.kind == audit_differences.CHANGED:
            was, is_now = (self._shown(entry, model, name, value) for value in (change.before, change.after))
            return Difference(label_of(model, name), *cut_apart(was, is_now))
        names = [self._called(each) for each in inside if isinstance(each, Element)]
        keys = [_words(each) for each in inside if not isinstance(each, Element)]
        label = " — ".join([", ".join(names) or label_of(model, name), *([" ".join(keys)] if keys else [])])
        match change.kind:
            case audit_differences.ADDED:
                return Difference(f"{_one_of(name)} added: {label}", None, cut(self._content(change.after)))
            case audit_differences.REMOVED:
                return Difference(f"{_one_of(name)} removed: {label}", cut(self._content(change.before)), None)
            case audit_differences.ORDERED:
                orders = ("; ".join(self._called(each) for each in side) for side in (change.before, change.after))
                return Difference(f"{label} — order", *cut_apart(*orders))
            case _:
                last = str(inside[-1]) if not isinstance(inside[-1], Element) else ""
                sides = (
                    self._nested(last, each) or shown(each, self._nested) for each in (change.before, change.after)
                )
                return Difference(label, *cut_apart(*sides))

    def _called(self, element: Element) -> str:
        """Return the name of a record in a list: of a rule, its domains."""
        value = element.value
        for name in NAMED_BY:
            if value.get(name):
                return cut(self._nested(name, value[name]) or shown(value[name], self._nested), 120)
        return cut(shown(value, self._nested), 120)

    def _content(self, value: dict[str, Any]) -> str:
        named = next((name for name in NAMED_BY if value.get(name)), None)
        # PostgreSQL keeps no order of the keys.
        rest = {name: each for name, each in sorted(value.items()) if name not in ("id", named)}
        return shown(rest, self._nested)

    def _shown(self, entry: AuditEntry, model: Any, name: str, value: Any) -> str:
        kind = _kind_of(entry, model, name)
        if kind is not None and isinstance(value, list):
            return shown([self._named(kind, each) for each in value])
        if kind is not None and value is not None:
            return self._named(kind, value)
        field = _field(model, name)
        if field is not None and field.choices and (word := dict(field.flatchoices).get(value)):
            return str(word)
        if isinstance(field, DateField) and not isinstance(field, DateTimeField) and isinstance(value, str):
            return formats.date_format(datetime.date.fromisoformat(value), "DATE_FORMAT")
        if isinstance(field, CharField | TextField) and isinstance(value, str):
            # Somebody's own words, also where they read like a time.
            return value or NOTHING
        return shown(value, self._nested)

    def _nested(self, name: str, value: Any) -> str | None:
        if name in LIMITS and value == 0 and value is not False:
            return "unlimited"
        if name == "randomization_type" and value in Randomization.values:
            return str(Randomization(value).label)
        if name in _NESTED and isinstance(value, dict) and "id" in value:
            return self._named(_NESTED[name], value["id"])
        return None

    def _named(self, label: str, pk: Any) -> str:
        # Of a record that the user cannot view, only the id is shown.
        return self.names.get((label, pk), f"no. {pk}")


def _records_in(value: Any) -> list[dict[str, Any]]:
    """Return a list's records; nothing where the value is anything else."""
    return value if isinstance(value, list) and value and all(isinstance(each, dict) for each in value) else []


def _told(model: Any, state: State) -> dict[str, Any]:
    """Return what is told of a state: not the id again under the name of the base table, nor what only code reads."""
    return {name: value for name, value in (state or {}).items() if name not in _INNER and not _is_base(model, name)}


def _is_base(model: Any, attribute: str) -> bool:
    field = _field(model, attribute)
    return field is not None and field.primary_key and field.is_relation


def label_of(model: Any, attribute: str) -> str:
    """Return a column's label in forms."""
    field = _field(model, attribute)
    if field is not None:
        return _FIELDS.get(field.name) or with_capitals(str(field.verbose_name))
    return _LABELS.get(attribute) or _words(attribute)


def shown(value: Any, nested: Callable[[str, Any], str | None] = lambda name, value: None) -> str:
    """Return a stored value as text; `nested` can format values inside others."""
    match value:
        case None | "":
            return NOTHING
        case True:
            return "yes"
        case False:
            return "no"
        case list():
            return ", ".join(shown(each, nested) for each in value) or NOTHING
        case dict():
            parts = (f"{_words(key)}: {nested(key, each) or shown(each, nested)}" for key, each in value.items())
            return "; ".join(parts) or NOTHING
        case str() if (at := _time(value)) is not None:
            return formats.date_format(at, "DATETIME_FORMAT")
        case int():
            return f"{value:,}"
        case _:
            return str(value)


def cut(text: str, length: int = SHOWN_LENGTH) -> str:
    """Return a text for display: a long one is cut after a word, with the number of omitted characters."""
    if len(text) <= length:
        return text
    end = text.rfind(" ", length // 2, length)
    end = length if end < 0 else end
    return f"{text[:end].rstrip(' ,;')} … ({len(text) - end:,} more characters)"


def cut_apart(before: str, after: str) -> tuple[str, str]:
    """Return two differing texts for display: of long texts, the part where they begin to differ."""
    if max(len(before), len(after)) <= SHOWN_LENGTH:
        return before, after
    same = next((i for i, (old, new) in enumerate(zip(before, after, strict=False)) if old != new), None)
    same = min(len(before), len(after)) if same is None else same
    if same < SHOWN_LENGTH // 2:
        return cut(before), cut(after)
    # Some words before it, for the reader to find the place.
    start = before.rfind(" ", 0, max(1, same - 40)) + 1
    return f"… {cut(before[start:])}", f"… {cut(after[start:])}"


# Keys of documents for which people have other words; 0 and null have a meaning of their own in a limit.
_KEYS = {
    "max_concurrent_connections": "connections",
    "max_messages_per_hour": "messages per hour",
    "throttle_program": "program",
    "virtual_mta": "VirtualMTA",
    "ips": "IP addresses",
    "randomization_type": "chosen anew for",
    "deliver_through": "delivered through",
}


# Abbreviations in the names of columns.
_CAPITALS = {
    word.lower(): word
    for word in (
        "UUID",
        "ID",
        "DNS",
        "SPF",
        "DKIM",
        "DMARC",
        "MX",
        "PTR",
        "HELO",
        "URL",
        "API",
        "IP",
        "IPv4",
        "IPv6",
        "SMTP",
    )
}


def _words(key: Any) -> str:
    return _KEYS.get(key) or with_capitals(str(key).replace("_", " "))


def with_capitals(words: str) -> str:
    """Return a label with its abbreviations as they are written: "spf status" is "SPF status"."""
    return " ".join(_CAPITALS.get(each, each) for each in words.split(" "))


def _one_of(name: str) -> str:
    """Return the singular name of a list's records."""
    words = str(name).replace("_", " ")
    return words.removesuffix("s")


def _time(text: str) -> datetime.datetime | None:
    """Return the time of a text as `core.audit` writes times, in the current zone; anything else is text."""
    if len(text) < len("2026-01-01T00:00+00:00") or text[10] != "T":
        return None
    try:
        at = datetime.datetime.fromisoformat(text)
        # In the time zone of whoever looks the last hours of the year 9999, and the first of all, may be out of the calendar.
        return timezone.localtime(at) if at.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


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
    """Return the names of the records that the user can view, by one query."""
    page: Any = admin.site._registry.get(_model(label))
    if page is None:
        return {}
    numbers = sorted(each for each in ids if isinstance(each, int))[:_MOST_NAMED]
    return {record.pk: page.choice_label(record) for record in page.get_queryset(request).filter(pk__in=numbers)}


def _last_names(request: HttpRequest, wanted: set[tuple[str, Any]]) -> Names:
    """Return the last names of deleted records, from the audit entries that the user can view. One query."""
    ids = sorted({str(pk) for _, pk in wanted if isinstance(pk, int)})[:_MOST_NAMED]
    if not ids:
        return {}
    viewer = viewer_of(request)
    entries = AuditEntry.objects.filter(target_type__in=sorted({label for label, _ in wanted}), target_id__in=ids)
    if not viewer.is_platform:
        entries = entries.filter(organization_id__in=list(viewer.roles))
    rows = entries.order_by("pk").values_list("target_type", "target_id", "target_label")
    labels = {(label, int(pk)): name for label, pk, name in rows}
    return {key: labels[key] for key in wanted if key in labels}
