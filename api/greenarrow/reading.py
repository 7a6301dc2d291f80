"""Parses requests with serializers: collects all faults, and passes valid values to the act."""

from collections.abc import Mapping
from itertools import takewhile
from types import MappingProxyType
from typing import Any, ClassVar

from django.utils.functional import cached_property
from rest_framework import serializers
from rest_framework.fields import empty

from api.greenarrow.fields import Entries, PartlyValid
from api.problems import faults_in
from core.errors import Fault, Faults, Invalid


class Record(serializers.Serializer[Any]):
    """A record, or a part of one, as a request gives it. What is not declared is ignored.

    `source` is the act's word for a field that the dialect calls otherwise; "*" is a part whose fields are the record's own.
    `schema_rules` says in JSON Schema what holds between fields, where the act refuses what does not keep it.
    """

    schema_rules: ClassVar[Mapping[str, Any]] = {}

    def bind(self, field_name: str, parent: Any) -> None:
        """A part is as partial as the record; entries of lists are always whole."""
        super().bind(field_name, parent)
        self.partial = parent.partial

    def read(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of an act: what is right of what was given, and `faults`, to which the act adds its own."""
        faults = RecordFaults(self)
        try:
            values = self.run_validation(given)
        except PartlyValid as refusal:
            values = refusal.value
            for fault in faults_in(refusal.detail):
                faults.add_known(fault.path, fault.message)
                # Where a field of a part is wrong, nothing is said of the part as a whole.
                part, _, _ = fault.path.rpartition(".")
                if part and "[" not in part:
                    faults.suppress(part)
        return {**values, "faults": faults}

    def run_validation(self, data: Any = empty) -> Any:
        """Return the values by the act's words; raises PartlyValid."""
        if data is None and self.allow_null:
            return None
        if not isinstance(data, Mapping):
            raise serializers.ValidationError(f"must be {'null or ' if self.allow_null else ''}an object")
        values: dict[str, Any] = {}
        errors: dict[str, Any] = {}
        for name, field in self.fields.items():
            if name not in data:
                if field.required and not self.partial:
                    errors[name] = "is required"
                continue
            try:
                value = field.run_validation(data[name])
            except serializers.ValidationError as refusal:
                errors[name] = refusal.detail
                if not isinstance(refusal, PartlyValid):
                    continue
                value = refusal.value
            values.update(value if field.source == "*" else {str(field.source): value})
        if errors:
            raise PartlyValid(errors, values)
        return values

    @cached_property
    def words(self) -> list[tuple[str, str]]:
        """An act's word for each field, and the dialect's; the longest first: `rules_new` is not the list `rules`."""
        found: list[tuple[str, str]] = []
        for name, field in self.fields.items():
            if isinstance(field, Record) and field.source == "*":
                found += ((inner, f"{name}.{path}") for inner, path in field.words)
            else:
                found.append((str(field.source), name))
        return sorted(found, key=lambda pair: -len(pair[0]))

    @cached_property
    def order(self) -> dict[str, int]:
        """The plain fields that come first, and their places: their faults are told first, whoever finds them."""
        are_plain = takewhile(
            lambda name: not isinstance(self.fields[name], serializers.BaseSerializer | serializers.ListField),
            self.fields,
        )
        return {name: index for index, name in enumerate(are_plain)}


class Records(Entries, serializers.ListSerializer[Any]):
    """A list of records."""

    max_length: int | None
    # Of all requests.
    nothing: ClassVar[object] = MappingProxyType({})
    default_error_messages: ClassVar[dict[str, Any]] = {"max_length": "must not be more than {max_length:,}"}

    def run_validation(self, data: Any = empty) -> list[Any]:
        """Return the records; none of more than there can be is looked at."""
        if self.max_length is not None and isinstance(data, list) and len(data) > self.max_length:
            raise serializers.ValidationError(self.error_messages["max_length"].format(max_length=self.max_length))
        return super().run_validation(data)


def many(child: Record, *, most: int | None = None, **kwargs: Any) -> Records:
    """Return a list of such records."""
    return Records(child=child, max_length=most, **kwargs)


class RecordFaults(Faults):
    """Faults in the words of a record's fields, those of its leading fields first."""

    def __init__(self, record: Record) -> None:
        super().__init__()
        self._words, self._order = record.words, record.order

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
