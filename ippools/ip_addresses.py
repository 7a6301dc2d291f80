"""One IP address with its throttling rules: made, changed, deleted. (Many at once: ippools/addresses.py.)

`values` is what the caller gave, in any shape. Acts raise Invalid with all faults at once, and then have changed nothing.
"""

from collections.abc import Mapping
from typing import Any

from core.attributes import ABSENT, Attributes, only_given
from core.audit import Actor, record, snapshot
from core.errors import NotFound
from core.races import atomic_act
from core.references import read_reference, resolve
from ippools import identity
from ippools.addresses import lock_addresses
from ippools.attributes import read_hostname, read_ipv4, read_ipv6, read_name
from ippools.models import IPAddress, VirtualMTA
from ippools.models.address import HIGHEST_PRIORITY
from ippools.redirects import read_redirect
from ippools.used_by import refuse_deletion
from throttling import rule_sets
from throttling.models import RuleSet, ThrottlingTemplate
from throttling.reading import read_rule_set

KIND = RuleSet.Kind.ADDRESS


@atomic_act
def create(values: Mapping[str, Any], *, actor: Actor) -> IPAddress:
    """Make an address.

    Needs `name`, `ipv4`, `hostname` and `throttling_template` (a reference); takes `ipv6`, `priority`, `redirect` (a
    reference), `rules`, `default` and `delivery_paused`.
    """
    lock_addresses()
    attributes = Attributes(values)
    columns = _read(attributes, pk=None)
    draft = read_rule_set(attributes, kind=KIND)
    attributes.refuse_if_faulty()
    address = IPAddress(kind=VirtualMTA.Kind.IP_ADDRESS, rules=rule_sets.create(draft, kind=KIND), **columns)
    address.save(force_insert=True)
    record(actor=actor, act="ip_address.created", target=address, after=document(address))
    return address


@atomic_act
def update(address_id: int, values: Mapping[str, Any], *, actor: Actor, replaces_rules: bool = False) -> IPAddress:
    """Change what is given; `rules_new` adds rules. With `replaces_rules`, `rules` is the whole list. Raises NotFound."""
    lock_addresses()
    address = _locked(address_id)
    rule_set = rule_sets.locked(address.rules_id)
    attributes = Attributes(values, is_partial=True)
    columns = _read(attributes, pk=address.pk)
    draft = read_rule_set(attributes, kind=KIND, rule_set=rule_set, replaces_rules=replaces_rules)
    attributes.refuse_if_faulty()
    before = document(address)
    for name, value in columns.items():
        setattr(address, name, value)
    if address.delivery_paused != before["delivery_paused"]:
        # By a caller who gives no reason. (ippools/pausing.py: with reason and end.)
        address.pause_reason, address.paused_until = "", None
    address.save()
    if any(before[name] != getattr(address, name) for name in ("ipv4", "ipv6", "hostname")):
        identity.recheck(address)
    rule_sets.update(rule_set, draft)
    address.rules = rule_set
    after = document(address)
    record(actor=actor, act=act_of(before, after), target=address, before=before, after=after)
    return address


@atomic_act
def delete(address_id: int, *, actor: Actor) -> None:
    """Delete an address that nothing refers to, with its rules. Raises NotFound, InUse, Conflict."""
    lock_addresses()
    address = _locked(address_id)
    refuse_deletion(address)
    record(actor=actor, act="ip_address.deleted", target=address, before=document(address))
    rule_set = address.rules
    address.delete()
    rule_set.delete()


def document(address: IPAddress) -> dict[str, Any]:
    """Return the address for the audit trail: its columns, and its rules in the form in which acts read them."""
    return {**snapshot(address), **rule_sets.document(address.rules)}


def act_of(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Return what a change of an address is called in the audit trail, where it may do no more than pause or resume it."""
    changed = {name for name in after if before.get(name) != after[name]}
    if "delivery_paused" not in changed or not changed <= {"delivery_paused", "pause_reason", "paused_until"}:
        return "ip_address.updated"
    return "ip_address.paused" if after["delivery_paused"] else "ip_address.resumed"


def _read(attributes: Attributes, *, pk: int | None) -> dict[str, Any]:
    template = read_reference(attributes, "throttling_template")
    templates = resolve(ThrottlingTemplate.objects.only("pk", "name_key"), [template])
    columns = {
        "name": read_name(attributes, pk=pk),
        "ipv4": _untaken(attributes, "ipv4", read_ipv4(attributes, "ipv4"), pk=pk),
        "ipv6": _untaken(attributes, "ipv6", read_ipv6(attributes, "ipv6"), pk=pk),
        "hostname": read_hostname(attributes, "hostname"),
        "priority": attributes.integer("priority", lowest=0, highest=HIGHEST_PRIORITY, is_required=False),
        "redirect_id": read_redirect(attributes, pk=pk),
        "template_id": templates.id_of(template, attributes, "throttling template"),
        "delivery_paused": attributes.boolean("delivery_paused", is_required=False),
    }
    return only_given(columns)


def _untaken(attributes: Attributes, name: str, value: Any, *, pk: int | None) -> Any:
    if value is ABSENT or value is None:
        return value
    if IPAddress.objects.filter(**{name: value}).exclude(pk=pk or 0).exists():
        return attributes.fault(name, "has already been taken")
    return value


def _locked(address_id: int) -> IPAddress:
    # Two statements: PostgreSQL would lock the template's row too, on which every address hangs.
    address = IPAddress.objects.select_for_update(of=("self",)).filter(pk=address_id).first()
    if address is None:
        raise NotFound("The IP address could not be found")
    return address
