"""Throttle programs: made, changed, deleted. Acts raise Invalid with all faults at once, and then have changed nothing."""

from collections.abc import Mapping
from typing import Any

from core.attributes import Attributes, only_given
from core.audit import Actor, record, snapshot
from core.errors import NotAllowed, NotFound
from core.races import atomic_act
from throttling import used_by
from throttling.models import ThrottleProgram
from throttling.models.program import HIGHEST_PERCENT, BackoffMode
from throttling.names import read_name

HIGHEST = 2**31 - 1
# What is given as, and the columns of, a backoff's two values.
BACKOFFS = {"max_concurrent_connections": "backoff_connections", "max_messages_per_hour": "backoff_messages"}
RATES = ("failure_rate", "deferral_rate")


@atomic_act
def create(values: Mapping[str, Any], *, actor: Actor) -> ThrottleProgram:
    """Make a program of `name`, `backoff` and `triggers`."""
    attributes = Attributes(values)
    columns = _read(attributes, ThrottleProgram(failure_rate=None, deferral_rate=None))
    attributes.refuse_if_faulty()
    program = ThrottleProgram.objects.create(**columns)
    record(actor=actor, act="throttle_program.created", target=program, after=snapshot(program))
    return program


@atomic_act
def update(program_id: int, values: Mapping[str, Any], *, actor: Actor) -> ThrottleProgram:
    """Change what is given. Raises NotFound, and NotAllowed for a built-in program."""
    program = _locked(program_id, "changed")
    before = snapshot(program)
    attributes = Attributes(values, is_partial=True)
    columns = _read(attributes, program)
    attributes.refuse_if_faulty()
    for name, value in columns.items():
        setattr(program, name, value)
    program.save()
    record(actor=actor, act="throttle_program.updated", target=program, before=before, after=snapshot(program))
    return program


@atomic_act
def delete(program_id: int, *, actor: Actor) -> None:
    """Delete a program that no rule uses. Raises NotFound, InUse, and NotAllowed for a built-in program."""
    program = _locked(program_id, "deleted")
    used_by.refuse_if_used(used_by.of_program(program))
    record(actor=actor, act="throttle_program.deleted", target=program, before=snapshot(program))
    program.delete()


def _read(attributes: Attributes, program: ThrottleProgram) -> dict[str, Any]:
    """Return the columns given; `program` has what stays."""
    columns: dict[str, Any] = {"name": read_name(attributes, ThrottleProgram, pk=program.pk)}
    backoff = attributes.part("backoff")
    if isinstance(backoff, Attributes):
        for name, column in BACKOFFS.items():
            value = backoff.part(name)
            if isinstance(value, Attributes):
                columns[f"{column}_mode"] = value.choice("mode", BackoffMode.values)
                columns[f"{column}_value"] = value.integer("value", lowest=1, highest=HIGHEST)
                _refuse_raising(value, column, only_given(columns), program)
        columns["return_after_seconds"] = backoff.integer("return_after", lowest=1, highest=HIGHEST)
    triggers = attributes.part("triggers")
    if isinstance(triggers, Attributes):
        found = len(attributes.faults)
        for name in RATES:
            columns[name] = triggers.integer(name, lowest=1, highest=100, is_required=False, is_nullable=True)
        rates = [getattr(program, name) for name in RATES] if attributes.is_partial else [None, None]
        given = only_given({name: columns[name] for name in RATES})
        if len(attributes.faults) == found and all(
            given.get(name, rate) is None for name, rate in zip(RATES, rates, strict=True)
        ):
            triggers.fault("", "must have a failure_rate or a deferral_rate")
    return only_given(columns)


def _refuse_raising(backoff: Attributes, column: str, columns: Mapping[str, Any], program: ThrottleProgram) -> None:
    """Add a fault where the value would be more than all of the limit; `program` has what is not given."""
    mode, value = (columns.get(name, getattr(program, name)) for name in (f"{column}_mode", f"{column}_value"))
    if mode == BackoffMode.PERCENT and value > HIGHEST_PERCENT:
        backoff.fault("value", f"must be at most {HIGHEST_PERCENT} with mode percent")


def _locked(program_id: int, verb: str) -> ThrottleProgram:
    program = ThrottleProgram.objects.select_for_update().filter(pk=program_id).first()
    if program is None:
        raise NotFound("The throttle program could not be found")
    if program.is_builtin:
        raise NotAllowed(f"A built-in throttle program cannot be {verb}")
    return program
