"""Create, change and delete throttle programs. Invalid names all faults at once, and nothing has changed then."""

from typing import TypedDict, Unpack

from core.acts import assign, locked, save_change
from core.atomic_acts import atomic_act
from core.audit import Actor, record, snapshot
from core.errors import Faults, NotAllowed
from throttling import used_by
from throttling.models import ThrottleProgram
from throttling.models.program import HIGHEST_PERCENT, BackoffMode
from throttling.names import validate_name

HIGHEST = 2**31 - 1
MODES = ("backoff_connections_mode", "backoff_messages_mode")
VALUES = ("backoff_connections_value", "backoff_messages_value", "return_after_seconds")
RATES = ("failure_rate", "deferral_rate")


class ProgramFields(TypedDict, total=False):
    """The columns of a program that acts take; None as a rate means that it triggers nothing."""

    name: str
    backoff_connections_mode: str
    backoff_connections_value: int
    backoff_messages_mode: str
    backoff_messages_value: int
    return_after_seconds: int
    failure_rate: int | None
    deferral_rate: int | None


@atomic_act
def create(*, actor: Actor, faults: Faults | None = None, **given: Unpack[ProgramFields]) -> ThrottleProgram:
    """Create a program."""
    program = ThrottleProgram(failure_rate=None, deferral_rate=None)
    faults = _validated(program, given, faults)
    faults.refuse()
    program = ThrottleProgram.objects.create(**given)
    record(actor=actor, act="throttle_program.created", target=program, after=snapshot(program))
    return program


@atomic_act
def change(
    program_id: int, *, actor: Actor, faults: Faults | None = None, **given: Unpack[ProgramFields]
) -> ThrottleProgram:
    """Change the given fields. Raises NotFound, and NotAllowed for a built-in program."""
    program = _locked(program_id, "changed")
    _validated(program, given, faults).refuse()
    before = snapshot(program)
    assign(program, given)
    save_change(program, before, act="throttle_program.changed", actor=actor)
    return program


@atomic_act
def delete(program_id: int, *, actor: Actor) -> None:
    """Delete a program that no rule uses. Raises NotFound, InUse, and NotAllowed for a built-in program."""
    program = _locked(program_id, "deleted")
    used_by.refuse_if_used(used_by.of_program(program))
    record(actor=actor, act="throttle_program.deleted", target=program, before=snapshot(program))
    program.delete()


def _validated(program: ThrottleProgram, given: ProgramFields, faults: Faults | None) -> Faults:
    """Validate the given fields; `program` has the others."""
    faults = Faults() if faults is None else faults
    if "name" in given and (program.pk is None or given["name"] != program.name):
        validate_name(given["name"], ThrottleProgram, pk=program.pk, faults=faults)
    for mode in MODES:
        if given.get(mode, BackoffMode.FIXED) not in BackoffMode.values:
            faults.add(mode, "must be one of " + ", ".join(BackoffMode.values))
    for value in VALUES:
        faults.integer(value, given.get(value, 1), lowest=1, highest=HIGHEST)
    _refuse_raising(program, given, faults)
    for rate in RATES:
        faults.integer(rate, given.get(rate), lowest=1, highest=100, is_nullable=True)
    if all(given.get(rate, getattr(program, rate)) is None for rate in RATES):
        faults.add("triggers", "must have a failure_rate or a deferral_rate")
    return faults


def _refuse_raising(program: ThrottleProgram, given: ProgramFields, faults: Faults) -> None:
    """Add a fault for a value above 100 percent of the limit; `program` has the fields that are not given."""
    after = {name: given.get(name, getattr(program, name)) for name in (*MODES, *VALUES)}
    for mode, value in zip(MODES, VALUES, strict=False):
        number = after[value]
        if after[mode] == BackoffMode.PERCENT and isinstance(number, int) and number > HIGHEST_PERCENT:
            faults.add(value, f"must be at most {HIGHEST_PERCENT} with mode percent")


def _locked(program_id: int, verb: str) -> ThrottleProgram:
    program = locked(ThrottleProgram.objects.all(), program_id, no_key=False)
    if program.is_builtin:
        raise NotAllowed(f"A built-in throttle program cannot be {verb}")
    return program
