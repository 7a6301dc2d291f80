"""Shared by addresses, relay servers and routing rules: validation of their columns, and the default VirtualMTA."""

from collections.abc import Mapping
from typing import Any

from django.db.models import Value

from core.acts import save_change
from core.atomic_acts import atomic_act
from core.audit import Actor
from core.errors import TAKEN, Faults
from core.names import fold
from core.references import Reference, resolve
from ippools import values
from ippools.addresses import lock_addresses
from ippools.models import IPAddress, VirtualMTA
from ippools.redirects import NOUN


def validate_columns(
    given: Mapping[str, Any], *, pk: int | None, faults: Faults, is_name_taken: bool | None = None
) -> None:
    """Validate the given name, IPv4 and IPv6, and that they are unique: one query at most.

    `is_name_taken` is what the caller knows of the name; None: it is looked up.
    """
    queries = []
    taken = {"name"} if is_name_taken else set()
    others = {"pk": pk or 0}
    for column, found in (
        ("name", values.name_faults),
        ("ipv4", values.ipv4_faults),
        ("ipv6", values.ipv6_faults),
    ):
        if column not in given:
            continue
        messages = found(given[column])
        for message in messages:
            faults.add(column, message)
        if messages or given[column] is None or (column == "name" and is_name_taken is not None):
            continue
        if column == "name":
            rows = VirtualMTA.objects.filter(name_key=fold(given["name"])).exclude(**others)
        else:
            rows = IPAddress.objects.filter(**{column: given[column]}).exclude(**others)
        queries.append(rows.order_by().annotate(column=Value(column)).values_list("column", flat=True))
    if queries:
        taken |= set(queries[0].union(*queries[1:]))
    for column in ("name", "ipv4", "ipv6"):
        if column in taken:
            faults.add(column, TAKEN)


def default_virtual_mta() -> VirtualMTA | None:
    """Return the default, if one has been chosen."""
    return VirtualMTA.objects.filter(is_default=True).first()


@atomic_act
def choose_default(
    *, virtual_mta: Reference | None = None, actor: Actor, faults: Faults | None = None
) -> VirtualMTA | None:
    """Set the default VirtualMTA, or none; raises Invalid."""
    lock_addresses()
    faults = Faults() if faults is None else faults
    chosen_id = resolve(VirtualMTA.objects.only("pk", "name_key"), [virtual_mta]).id_of(
        virtual_mta, "virtual_mta", NOUN, faults
    )
    faults.refuse()
    before = default_virtual_mta()
    if before is not None and before.pk == chosen_id:
        return before
    if before is not None:
        _mark(before, is_default=False, actor=actor)
    chosen = None if chosen_id is None else VirtualMTA.objects.get(pk=chosen_id)
    if chosen is not None:
        _mark(chosen, is_default=True, actor=actor)
    return chosen


def _mark(virtual_mta: VirtualMTA, *, is_default: bool, actor: Actor) -> None:
    before = _default_of(virtual_mta)
    virtual_mta.is_default = is_default
    save_change(virtual_mta, before, act="virtual_mta.default_changed", actor=actor, document=_default_of)


def _default_of(virtual_mta: VirtualMTA) -> dict[str, Any]:
    return {"is_default": virtual_mta.is_default}
