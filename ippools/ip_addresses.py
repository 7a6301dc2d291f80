"""Create, change and delete one IP address with its throttling rules. (Bulk creation: ippools/addresses.py.)

Acts raise Invalid with all faults at once, and then have changed nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, Unpack, cast

from django.db.models import Exists, OuterRef
from django.db.models.functions import Now

from core.acts import assign, locked, save_change
from core.atomic_acts import atomic_act
from core.audit import Actor, record
from core.errors import Conflict, Faults
from core.names import fold
from core.references import Reference, resolve
from ippools import values
from ippools.addresses import lock_addresses
from ippools.models import FormerAddressName, IPAddress, VirtualMTA
from ippools.models.address import HIGHEST_PRIORITY
from ippools.public_addresses import BOUND_AND_PUBLIC, canonical, public_faults
from ippools.redirects import validate_redirect
from ippools.used_by import refuse_deletion
from ippools.virtual_mtas import validate_columns
from throttling import rule_sets
from throttling.drafts import RuleFields
from throttling.models import RuleSet, ThrottlingTemplate
from throttling.templates import default_of, validate_rules

KIND = RuleSet.Kind.ADDRESS
# What DNS is asked about: the address and the name that it says HELO with.
SENDER = (*BOUND_AND_PUBLIC, "hostname")
COLUMNS = ("name", *SENDER, "priority", "delivery_paused")
NEEDED = ("name", "ipv4", "hostname", "template")


class AddressFields(TypedDict, total=False):
    """The input of create and change: columns, default limits (None: the template's), and rules.

    `rules` is the whole list, in which an entry with an `id` changes that rule and a rule that is not named goes;
    `added_rules` adds.
    """

    name: str
    ipv4: str
    ipv6: str | None
    public_ipv4: str | None
    public_ipv6: str | None
    hostname: str
    priority: int
    template: Reference
    redirect: Reference | None
    delivery_paused: bool
    max_concurrent_connections: int | None
    max_messages_per_hour: int | None
    rules: Sequence[RuleFields]
    added_rules: Sequence[RuleFields]


@atomic_act
def create(*, actor: Actor, faults: Faults | None = None, **given: Unpack[AddressFields]) -> IPAddress:
    """Create an address: needs `name`, `ipv4`, `hostname` and `template`."""
    faults = Faults() if faults is None else faults
    lock_addresses()
    address = IPAddress(kind=VirtualMTA.Kind.IP_ADDRESS)
    for field in NEEDED:
        if field not in given:
            faults.add(field, "is required")
    columns = _validated(address, given, faults)
    drafts = validate_rules(given, [], kind=KIND, faults=faults)
    faults.refuse()
    for name, value in columns.items():
        setattr(address, name, value)
    address.rules = rule_sets.create(KIND, default_of(given), drafts or [])
    address.save(force_insert=True)
    record(actor=actor, act="ip_address.created", target=address, after=address.document())
    return address


@atomic_act
def change(address_id: int, *, actor: Actor, faults: Faults | None = None, **given: Unpack[AddressFields]) -> IPAddress:
    """Change the given fields, and return the address with its template, redirect and rules. Raises NotFound.

    The DNS of the address and of the domains that send by it is checked soon after another IPv4, IPv6 or host name:
    sweeps compare `sender_changed_at` with their last check.
    """
    faults = Faults() if faults is None else faults
    if given.get("redirect") is not None:
        lock_addresses()
    address = locked_address(address_id, name=given.get("name", ""))
    columns = _validated(address, given, faults)
    drafts = validate_rules(given, address.rules.rules.all(), kind=KIND, faults=faults)
    faults.refuse()
    before = address.document()
    if any(columns.get(name, getattr(address, name)) != getattr(address, name) for name in SENDER):
        columns["sender_changed_at"] = Now()
    if columns.get("delivery_paused", address.delivery_paused) != address.delivery_paused:
        # By a caller who gives no reason. (ippools/pausing.py: with reason and end.)
        columns |= {"pause_reason": "", "paused_until": None}
    changed = assign(address, columns)
    if fold(address.name) != fold(before["name"]):
        _give_up_name(address.pk, before["name"])
    rule_sets.change(address.rules, default_of(given), drafts, replaces="rules" in given)
    save_change(
        address,
        before,
        act=act_of(before, address.document()),
        actor=actor,
        unrecorded=changed & {"sender_changed_at"},
        document=IPAddress.document,
    )
    return address


@atomic_act
def delete(address_id: int, *, actor: Actor) -> None:
    """Delete an address that nothing refers to, with its rules. Raises NotFound, InUse, Conflict."""
    lock_addresses()
    address = locked_address(address_id)
    refuse_deletion(address)
    record(actor=actor, act="ip_address.deleted", target=address, before=address.document())
    rule_set, pk = address.rules, address.pk
    address.delete()
    rule_set.delete()
    _give_up_name(pk, address.name)


def _give_up_name(address_id: int, name: str) -> None:
    """Note that the address had this name until now: events of its time may come later."""
    FormerAddressName.objects.create(name=name, address_id=address_id, until=Now())


def fields_of(document: Mapping[str, Any]) -> AddressFields:
    """Return the arguments of `change` that restore an address to this document.

    Raises Conflict where its template, or what it redirected to, is gone.
    """
    template_id, redirect_id = document["template_id"], document["redirect_id"]
    if not ThrottlingTemplate.objects.filter(pk=template_id).exists():
        raise Conflict("Its former template no longer exists")
    if redirect_id is not None and not VirtualMTA.objects.filter(pk=redirect_id).exists():
        raise Conflict("Its former redirect no longer exists")
    fields = {
        # What was recorded before there were public addresses says nothing of them.
        **{name: document[name] for name in COLUMNS if name in document},
        "template": Reference(template_id),
        "redirect": None if redirect_id is None else Reference(redirect_id),
        **rule_sets.fields_of(document),
    }
    return cast(AddressFields, fields)


def act_of(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Return the audit name of a change of an address: a pause, a resumption, or a change."""
    changed = {name for name in after if before.get(name) != after[name]}
    if "delivery_paused" not in changed or not changed <= {"delivery_paused", "pause_reason", "paused_until"}:
        return "ip_address.changed"
    return "ip_address.paused" if after["delivery_paused"] else "ip_address.resumed"


def _validated(address: IPAddress, given: AddressFields, faults: Faults) -> dict[str, Any]:
    """Validate the given fields, and return the columns; `address` has the others."""
    columns: dict[str, Any] = {name: given[name] for name in COLUMNS if name in given}  # type: ignore[literal-required]
    if columns.get("ipv6") is not None and not values.ipv6_faults(columns["ipv6"]):
        columns["ipv6"] = values.canonical_ipv6(columns["ipv6"])
    if "ipv6" in columns and address.ipv6 is not None:
        # PostgreSQL writes some of them in another way (`::192.0.2.1`).
        address.ipv6 = values.canonical_ipv6(address.ipv6)
    for name, version in (("public_ipv4", 4), ("public_ipv6", 6)):
        if (text := columns.get(name)) is None:
            continue
        messages = public_faults(text, version=version)
        for message in messages:
            faults.add(name, message)
        columns[name] = text if messages else canonical(text)
    new = {name: value for name, value in columns.items() if address.pk is None or getattr(address, name) != value}
    is_name_taken = getattr(address, "is_name_taken", None) if "name" in new else None
    validate_columns(new, pk=address.pk, faults=faults, is_name_taken=is_name_taken)
    for message in values.hostname_faults(new["hostname"]) if "hostname" in new else ():
        faults.add("hostname", message)
    if "priority" in columns:
        faults.integer("priority", columns["priority"], lowest=0, highest=HIGHEST_PRIORITY)
    if "redirect" in given and not _is_same(given["redirect"], address.redirect):
        columns["redirect_id"] = validate_redirect(given["redirect"], pk=address.pk, faults=faults)
    if "template" in given and not _is_same(given["template"], _template_of(address)):
        resolved = resolve(ThrottlingTemplate.objects.only("pk", "name_key", "name"), [given["template"]])
        resolved.id_of(given["template"], "template", "throttling template", faults)
        columns["template"] = resolved.record(given["template"])
    return columns


def _is_same(reference: Reference | None, record: VirtualMTA | ThrottlingTemplate | None) -> bool:
    if reference is None or record is None:
        return reference is None and record is None
    return reference.id == record.pk if reference.id is not None else fold(reference.name) == record.name_key


def _template_of(address: IPAddress) -> ThrottlingTemplate | None:
    return None if address.pk is None else address.template


def locked_address(address_id: int, *, name: str = "") -> IPAddress:
    """Return the address with its rules, locked until the transaction ends; raises NotFound.

    With a valid `name`, its `is_name_taken` says whether another VirtualMTA has it.
    """
    # Not the template's row, on which every address hangs.
    rows = IPAddress.objects.select_related("redirect", "template", "rules")
    if name and not values.name_faults(name):
        others = VirtualMTA.objects.filter(name_key=fold(name)).exclude(pk=OuterRef("pk"))
        rows = rows.annotate(is_name_taken=Exists(others))
    address = locked(rows, address_id, no_key=False, of=("self", "rules"))
    rule_sets.load_rules(address.rules)
    return address
