"""Alerts that a user acknowledged or snoozed, until a given time."""

import datetime

from core.acts import assign, save_change
from core.atomic_acts import atomic_act
from core.audit import Actor, record, snapshot
from core.errors import Fault, Invalid
from core.models import SetAside
from core.texts import is_storable

# An alert whose cause ends and comes back is a new one: no alert is set aside for longer.
LONGEST = datetime.timedelta(days=7)
KEY_LENGTH = LABEL_LENGTH = 300


@atomic_act
def set_aside(
    *,
    audience: str,
    key: str,
    label: str,
    is_hidden: bool,
    until: datetime.datetime,
    at: datetime.datetime,
    actor: Actor,
) -> SetAside:
    """Acknowledge an alert, or snooze it (`is_hidden`); one that is set aside already gets the new end."""
    faults = []
    if not 1 <= len(key) <= KEY_LENGTH or not is_storable(key + label):
        faults.append(Fault("key", "is not the key of an alert"))
    if not at < until <= at + LONGEST:
        faults.append(Fault("until", f"must be within {LONGEST.days} days"))
    if faults:
        raise Invalid(*faults)
    found = SetAside.objects.select_for_update().filter(audience=audience, key=key).first()
    act = "set_aside.snoozed" if is_hidden else "set_aside.acknowledged"
    columns = {
        "label": label[:LABEL_LENGTH], "is_hidden": is_hidden, "until": until, "by_label": actor.label[:150]
    }  # fmt: skip
    if found is None:
        found = SetAside.objects.create(audience=audience, key=key, **columns)
        record(actor=actor, act=act, target=found, after=snapshot(found))
        return found
    before = snapshot(found)
    assign(found, columns)
    save_change(found, before, act=act, actor=actor)
    return found


@atomic_act
def take_back(*, audience: str, key: str, actor: Actor) -> bool:
    """Undo acknowledging or snoozing an alert; return whether it had been set aside."""
    found = SetAside.objects.select_for_update().filter(audience=audience, key=key).first()
    if found is None:
        return False
    record(actor=actor, act="set_aside.ended", target=found, before=snapshot(found))
    found.delete()
    return True


def in_force(*, audience: str, at: datetime.datetime) -> dict[str, SetAside]:
    """Return the acknowledged and snoozed alerts of this audience, by key. One query."""
    return {each.key: each for each in SetAside.objects.filter(audience=audience, until__gt=at)}
