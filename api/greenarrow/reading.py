"""Parses requests with serializers: collects all faults, and passes valid values to the act."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from rest_framework import serializers

from api.problems import faults_in
from core.errors import Fault, Faults, Invalid

FLAT = ""


class Record(serializers.Serializer[Any]):
    """A record, or a part of one, as a request gives it. What is not declared is ignored.

    `words` are an act's words for fields that the dialect calls otherwise; FLAT is a part whose fields are the record's own.
    """

    words: ClassVar[Mapping[str, str]] = {}

    def read(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of an act: what is right of what was given, and `faults`, to which the act adds its own."""
        faults = RecordFaults(self)
        return {**self._read(given, "", faults, is_partial=self.partial), "faults": faults}

    def act_words(self) -> Iterator[tuple[str, str]]:
        """Yield an act's word for each field, and the dialect's."""
        for name, field in self.fields.items():
            word = self.words.get(name, name)
            if word == FLAT and isinstance(field, Record):
                yield from ((inner, f"{name}.{path}") for inner, path in field.act_words())
            else:
                yield word, name

    def leading_fields(self) -> list[str]:
        """Return the plain fields that come first: their faults are told first, whoever finds them."""
        names = []
        for name, field in self.fields.items():
            if isinstance(field, serializers.BaseSerializer | serializers.ListField):
                break
            names.append(name)
        return names

    def _read(self, given: Mapping[str, Any], path: str, faults: Faults, *, is_partial: bool) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name, field in self.fields.items():
            at = f"{path}.{name}" if path else name
            if name not in given:
                if field.required and not is_partial:
                    faults.add_known(at, "is required")
                continue
            value = _value_of(field, given[name], at, faults, is_partial=is_partial)
            if value is serializers.empty:
                continue
            word = self.words.get(name, name)
            values.update(value if word == FLAT else {word: value})
        self.check(given, values, path, faults)
        return values

    def check(self, given: Mapping[str, Any], values: dict[str, Any], path: str, faults: Faults) -> None:
        """Judge several fields together."""


def many(child: Record, *, most: int | None = None, **kwargs: Any) -> serializers.ListSerializer[Any]:
    """Return a list of such records."""
    return serializers.ListSerializer(child=child, max_length=most, **kwargs)


class RecordFaults(Faults):
    """Faults in the words of a record's fields, those of its leading fields first."""

    def __init__(self, record: Record) -> None:
        super().__init__()
        # The longest first: `rules_new` is not the list `rules`.
        self._words = sorted(record.act_words(), key=lambda pair: -len(pair[0]))
        self._order = {name: index for index, name in enumerate(record.leading_fields())}

    def field_name(self, path: str) -> str:
        """Return the dialect's word for an act's field."""
        for word, name in self._words:
            if path == word or path.startswith((f"{word}.", f"{word}[")):
                return name + path[len(word) :]
        return path

    def refuse(self) -> None:
        """Raise Invalid with every fault, if there is any."""
        if self.found:
            raise Invalid(*sorted(self.found, key=self._place))

    def _place(self, fault: Fault) -> int:
        return self._order.get(fault.path, len(self._order))


def _value_of(field: Any, value: object, path: str, faults: Faults, *, is_partial: bool) -> Any:
    """Return the value of a field, `empty` where it is no such thing at all; every fault is added."""
    null = "null or " if field.allow_null else ""
    if value is None and field.allow_null:
        return None
    if isinstance(field, Record):
        if isinstance(value, Mapping):
            return field._read(value, path, faults, is_partial=is_partial)
        faults.add_known(path, f"must be {null}an object")
    elif isinstance(field, serializers.ListSerializer | serializers.ListField):
        if isinstance(value, list):
            return _entries_of(field, value, path, faults)
        faults.add_known(path, "must be an array")
    else:
        try:
            return field.to_internal_value(value)
        except serializers.ValidationError as refusal:
            for fault in faults_in(refusal.detail, path):
                faults.add_known(fault.path, fault.message)
    return serializers.empty


def _entries_of(field: Any, given: list[object], path: str, faults: Faults) -> list[Any]:
    """Return the entries of a list. What is no entry keeps its place, for the paths of those behind it."""
    if not given and not field.allow_empty:
        faults.add_known(path, field.error_messages["empty"])
    child = field.child
    if not isinstance(child, Record):
        read = (
            _value_of(child, each, f"{path}[{index}]", faults, is_partial=False) for index, each in enumerate(given)
        )
        return ["" if each is serializers.empty else each for each in read]
    for index, each in enumerate(given):
        if not isinstance(each, Mapping):
            faults.add_known(f"{path}[{index}]", "must be an object")
    # Entries are always whole, whether or not the record is.
    return [
        child._read(each, f"{path}[{index}]", faults, is_partial=False) if isinstance(each, Mapping) else {}
        for index, each in enumerate(given)
    ]
