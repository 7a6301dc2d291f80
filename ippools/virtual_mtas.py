"""The default VirtualMTA: the way out of mail that no other choice covers."""

from collections.abc import Mapping
from typing import Any

from core.attributes import Attributes
from core.audit import Actor, record
from core.races import atomic_act
from core.references import read_reference, resolve
from ippools.addresses import lock_addresses
from ippools.models import VirtualMTA
from ippools.redirects import NOUN


def default_virtual_mta() -> VirtualMTA | None:
    """Return the default, if one has been chosen."""
    return VirtualMTA.objects.filter(is_default=True).first()


@atomic_act
def choose_default(values: Mapping[str, Any], *, actor: Actor) -> VirtualMTA | None:
    """Make the VirtualMTA that `virtual_mta` refers to the default, or none where it is null; raises Invalid."""
    lock_addresses()
    attributes = Attributes(values)
    reference = read_reference(attributes, "virtual_mta", is_nullable=True)
    chosen_id = resolve(VirtualMTA.objects.only("pk", "name_key"), [reference]).id_of(reference, attributes, NOUN)
    attributes.refuse_if_faulty()
    before = default_virtual_mta()
    if before is not None and before.pk == chosen_id:
        return before
    if before is not None:
        _mark(before, is_default=False, actor=actor)
    chosen = VirtualMTA.objects.get(pk=chosen_id) if isinstance(chosen_id, int) else None
    if chosen is not None:
        _mark(chosen, is_default=True, actor=actor)
    return chosen


def _mark(virtual_mta: VirtualMTA, *, is_default: bool, actor: Actor) -> None:
    virtual_mta.is_default = is_default
    virtual_mta.save(update_fields=["is_default", "updated_at"])
    record(
        actor=actor,
        act="virtual_mta.default_changed",
        target=virtual_mta,
        before={"is_default": not is_default},
        after={"is_default": is_default},
    )
