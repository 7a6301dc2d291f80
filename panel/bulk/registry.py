"""The registry of bulk actions, by the name that jobs store."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django import forms
from django.apps import apps
from django.db import transaction

from core.audit import Actor
from core.errors import Refused
from core.texts import counted

# Takes a record, who acts, and by name what the act's form asked for.
type Doing = Callable[..., None]


@dataclass(frozen=True, slots=True)
class BulkAct:
    """A bulk act: an act on one record, applied to many."""

    name: str
    model: str
    title: str
    notice: str
    done: str
    do: Doing
    # A `has_…_permission` of the page, asked for each record.
    permission: str = "operate"
    # What it asks for before it is done, once for all.
    form: type[forms.Form] | None = None

    @property
    def records(self) -> Any:
        return apps.get_model(self.model)._default_manager

    def counted(self, number: int) -> str:
        """Return "1 server", "3 servers": the number with what the act's records are."""
        options = apps.get_model(self.model)._meta
        return counted(number, str(options.verbose_name), str(options.verbose_name_plural))


ACTS: dict[str, BulkAct] = {}


def bulk_act(
    *,
    model: str,
    title: str,
    notice: str,
    done: str,
    permission: str = "operate",
    form: type[forms.Form] | None = None,
) -> Callable[[Doing], Doing]:
    """Register a function `(record, actor)` as a bulk act; jobs store its name.

    What `form` asks for comes by name, as JSON has it: a time is its ISO text.
    """

    def register(do: Doing) -> Doing:
        ACTS[do.__name__] = BulkAct(do.__name__, model, title, notice, done, do, permission, form)
        return do

    return register


def apply(
    found: BulkAct,
    ids: list[int],
    actor: Actor,
    values: Mapping[str, Any] | None = None,
    *,
    label: Callable[[Any], str] = str,
) -> list[str]:
    """Apply the act to each existing record, and return the refusals, each with the record's label.

    `values`: the values of its form.
    """
    refusals = []
    for record in found.records.filter(pk__in=ids).order_by("pk"):
        try:
            with transaction.atomic():
                found.do(record, actor, **(values or {}))
        except Refused as refusal:
            refusals.append(f"{label(record)}: {refusal.message}")
    return refusals
