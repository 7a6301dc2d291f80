"""Warm-up plans: created, changed, deleted. Acts raise Invalid with all faults at once, and then have changed nothing."""

from collections.abc import Mapping, Sequence
from typing import TypedDict, Unpack

from core.acts import assign, locked, save_change
from core.atomic_acts import atomic_act
from core.audit import Actor, record, snapshot
from core.errors import Conflict, Faults, NotAllowed
from throttling.models import WarmUpPlan
from throttling.names import validate_name
from throttling.warmup import LEAST_MESSAGES

MOST_DAYS = 120
MOST_PROVIDERS = 30
MOST_MESSAGES = 100_000_000
RANGES = {
    "least_accepted": (1, 100),
    "most_blocked": (1, 100),
    "most_complained": (1, 10_000),
    "largest_step": (1, 1_000),
    "floor": (LEAST_MESSAGES, MOST_MESSAGES),
}


class PlanFields(TypedDict, total=False):
    """The columns of a plan that acts take."""

    name: str
    days: Sequence[int]
    providers: Mapping[str, Sequence[int]]
    least_accepted: int
    most_blocked: int
    most_complained: int
    largest_step: int
    floor: int


@atomic_act
def create(*, actor: Actor, **given: Unpack[PlanFields]) -> WarmUpPlan:
    """Create a plan; `name` and `days` are needed."""
    _judge(WarmUpPlan(days=[]), given)
    plan = WarmUpPlan.objects.create(**given)
    record(actor=actor, act="warm_up_plan.created", target=plan, after=snapshot(plan))
    return plan


@atomic_act
def change(plan_id: int, *, actor: Actor, **given: Unpack[PlanFields]) -> WarmUpPlan:
    """Change what is given; warm-ups follow from their next day on. Raises NotFound, and NotAllowed for a built-in plan."""
    plan = _locked(plan_id, "changed")
    _judge(plan, given)
    before = snapshot(plan)
    assign(plan, given)
    save_change(plan, before, act="warm_up_plan.changed", actor=actor)
    return plan


@atomic_act
def delete(plan_id: int, *, actor: Actor) -> None:
    """Delete a plan that no warm-up has or had. Raises NotFound, Conflict, and NotAllowed for a built-in plan."""
    plan = _locked(plan_id, "deleted")
    # Warm-ups are an outer app's: they are reached by the relation alone.
    warm_ups = WarmUpPlan._meta.get_field("warm_ups").related_model
    if warm_ups._default_manager.filter(plan=plan).exists():
        raise Conflict("Addresses are or were warmed up by this plan")
    record(actor=actor, act="warm_up_plan.deleted", target=plan, before=snapshot(plan))
    plan.delete()


def _judge(plan: WarmUpPlan, given: PlanFields) -> None:
    faults = Faults()
    if plan.pk is None or given.get("name", plan.name) != plan.name:
        validate_name(given.get("name", ""), WarmUpPlan, pk=plan.pk, faults=faults)
    days = given.get("days", plan.days)
    if not 1 <= len(days) <= MOST_DAYS:
        faults.add("days", f"must have from 1 to {MOST_DAYS} days")
    elif not _are_messages(days):
        faults.add("days", f"must be whole numbers from {LEAST_MESSAGES} to {MOST_MESSAGES}")
    providers = given.get("providers", plan.providers)
    if len(providers) > MOST_PROVIDERS:
        faults.add("providers", f"must be at most {MOST_PROVIDERS}")
    elif any(len(numbers) != len(days) or not _are_messages(numbers) for numbers in providers.values()):
        faults.add("providers", f"must have as many whole numbers as there are days, each at least {LEAST_MESSAGES}")
    for name, (lowest, highest) in RANGES.items():
        faults.integer(name, given.get(name, getattr(plan, name)), lowest=lowest, highest=highest)
    faults.refuse()


def _are_messages(numbers: Sequence[object]) -> bool:
    return all(type(number) is int and LEAST_MESSAGES <= number <= MOST_MESSAGES for number in numbers)


def _locked(plan_id: int, verb: str) -> WarmUpPlan:
    plan = locked(WarmUpPlan.objects.all(), plan_id, no_key=False)
    if plan.is_builtin:
        raise NotAllowed(f"A built-in warm-up plan cannot be {verb}")
    return plan
