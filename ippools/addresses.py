"""Creates IP addresses, one or up to ten thousand at once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from django.db import connections, models, router
from django.db.models.sql import InsertQuery

from core.atomic_acts import atomic_act
from core.audit import Actor, record_creations
from core.errors import TAKEN, Fault, Faults, Invalid
from core.locks import advisory
from core.names import fold, numbered
from core.texts import NAME_LENGTH
from ippools import public_addresses, values
from ippools.models import IPAddress, VirtualMTA
from ippools.models.address import HIGHEST_PRIORITY
from throttling import rule_sets
from throttling.models import RuleSet, ThrottlingTemplate
from throttling.models.rule_set import HIGHEST_LIMIT

# SQLite takes some 30,000 parameters in a statement.
_PARAMETERS = 30_000


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAddress:
    """An address to be made. `name` empty: `ip-<ipv4>`, numbered where that is taken; `template` None: the default one."""

    ipv4: str
    hostname: str
    name: str = ""
    ipv6: str | None = None
    public_ipv4: str | None = None
    public_ipv6: str | None = None
    priority: int = 100
    template: ThrottlingTemplate | None = None
    redirect: VirtualMTA | None = None
    max_concurrent_connections: int | None = None
    max_messages_per_hour: int | None = None


def lock_addresses() -> None:
    """Serialize functions that check for an address and then add it, until the transaction ends."""
    advisory("ippools.addresses")


@atomic_act
def create_many(rows: Sequence[NewAddress], *, actor: Actor, organization_id: int | None = None) -> list[IPAddress]:
    """Write addresses with their base rows and rule sets, in the order given, by a constant number of statements.

    Raises Invalid with a fault for each value that cannot be, is taken, or is named twice, and writes nothing then.
    `organization_id` is the tenant who may read the entries of the audit trail.
    """
    rows = _cleaned(rows)
    if not rows:
        return []
    lock_addresses()
    names = _names_for(rows)
    _refuse_taken(rows, names)
    default = ThrottlingTemplate.objects.get(is_default=True)
    rule_sets = RuleSet.objects.bulk_create(
        RuleSet(
            kind=RuleSet.Kind.ADDRESS,
            max_concurrent_connections=row.max_concurrent_connections,
            max_messages_per_hour=row.max_messages_per_hour,
        )
        for row in rows
    )
    bases = VirtualMTA.objects.bulk_create(
        VirtualMTA(kind=VirtualMTA.Kind.IP_ADDRESS, name=name, redirect=row.redirect)
        for row, name in zip(rows, names, strict=True)
    )
    addresses = [
        _address(base, row, rule_set, row.template or default)
        for base, row, rule_set in zip(bases, rows, rule_sets, strict=True)
    ]
    _insert_children(addresses)
    record_creations(
        actor=actor,
        act="ip_address.created",
        targets=[(address, address.document()) for address in addresses],
        organization_id=organization_id,
    )
    return addresses


def create_one(row: NewAddress, *, actor: Actor, organization_id: int | None = None) -> IPAddress:
    """Write one address as `create_many` does; its faults name fields without a place in a list."""
    try:
        return create_many([row], actor=actor, organization_id=organization_id)[0]
    except Invalid as refusal:
        faults = (replace(fault, path=fault.path.removeprefix("addresses[0].")) for fault in refusal.faults)
        raise Invalid(*faults) from None


def _cleaned(rows: Sequence[NewAddress]) -> list[NewAddress]:
    """Return the rows as they are stored; raises Invalid with every fault of every row."""
    faults = Faults()
    cleaned = []
    for index, row in enumerate(rows):
        path = f"addresses[{index}]"
        row = replace(row, ipv6=row.ipv6 or None)
        faults.integer(f"{path}.priority", row.priority, lowest=0, highest=HIGHEST_PRIORITY)
        for name in ("max_concurrent_connections", "max_messages_per_hour"):
            faults.integer(f"{path}.{name}", getattr(row, name), lowest=0, highest=HIGHEST_LIMIT, is_nullable=True)
        for field, found in (
            ("ipv4", values.ipv4_faults(row.ipv4)),
            ("ipv6", values.ipv6_faults(row.ipv6)),
            ("hostname", values.hostname_faults(row.hostname)),
            ("name", values.name_faults(row.name) if row.name else []),
        ):
            for message in found:
                faults.add(f"{path}.{field}", message)
        row = replace(row, public_ipv4=row.public_ipv4 or None, public_ipv6=row.public_ipv6 or None)
        for field, given, version in (("public_ipv4", row.public_ipv4, 4), ("public_ipv6", row.public_ipv6, 6)):
            for message in public_addresses.public_faults(given, version=version) if given else ():
                faults.add(f"{path}.{field}", message)
        cleaned.append(row)
    faults.refuse()
    return [
        replace(
            row,
            ipv6=row.ipv6 and values.canonical_ipv6(row.ipv6),
            public_ipv6=row.public_ipv6 and public_addresses.canonical(row.public_ipv6),
        )
        for row in cleaned
    ]


def _address(base: VirtualMTA, row: NewAddress, rule_set: RuleSet, template: ThrottlingTemplate) -> IPAddress:
    address = IPAddress(
        virtualmta_ptr=base, ipv4=row.ipv4, ipv6=row.ipv6, public_ipv4=row.public_ipv4, public_ipv6=row.public_ipv6,
        hostname=row.hostname, priority=row.priority, template=template, rules=rule_set,
    )  # fmt: skip
    # It has no rules yet: nothing need be read for its document.
    rule_sets.keep(rule_set, "rules", [])
    address.__dict__.update({field.attname: getattr(base, field.attname) for field in base._meta.concrete_fields})
    return address


def _insert_children(addresses: Sequence[IPAddress]) -> None:
    # bulk_create refuses multi-table inheritance because it cannot know the parents' ids; here they are known.
    using = router.db_for_write(IPAddress)
    fields: list[models.Field[Any, Any]] = list(IPAddress._meta.local_concrete_fields)
    size = connections[using].ops.bulk_batch_size(fields, addresses)
    for start in range(0, len(addresses), size):
        query = InsertQuery(IPAddress)
        query.insert_values(fields, list(addresses[start : start + size]))
        query.get_compiler(using).execute_sql()


def _names_for(rows: Sequence[NewAddress]) -> list[str]:
    asked = {fold(row.name) for row in rows if row.name}
    wanted = [f"ip-{row.ipv4}" for row in rows if not row.name]
    taken = asked | _taken_names(wanted)
    names = []
    for row in rows:
        name = row.name
        if not name:
            stem = f"ip-{row.ipv4}"
            name = next(
                each for number in count(1) if fold(each := numbered(stem, number, length=NAME_LENGTH)) not in taken
            )
            taken.add(fold(name))
        names.append(name)
    return names


def _taken_names(stems: Iterable[str]) -> set[str]:
    """Return the folded names that begin with `ip-`, where any of these stems is taken at all."""
    stems = list(stems)
    if not any(True for _ in _existing("name_key", [fold(stem) for stem in stems])):
        return set()
    return set(VirtualMTA.objects.filter(name_key__startswith="ip-").values_list("name_key", flat=True))


def _refuse_taken(rows: Sequence[NewAddress], names: Sequence[str]) -> None:
    faults: list[Fault] = []
    columns: dict[str, list[str | None]] = {
        "ipv4": [row.ipv4 for row in rows],
        "ipv6": [row.ipv6 for row in rows],
        "name": [fold(name) for name in names],
    }
    for column, given in columns.items():
        seen = set(_existing("name_key" if column == "name" else column, [each for each in given if each]))
        if column == "ipv6":
            # PostgreSQL writes some of them in another way (`::192.0.2.1`).
            seen = {values.canonical_ipv6(each) for each in seen}
        for index, value in enumerate(given):
            if value is None:
                continue
            if value in seen:
                faults.append(Fault(f"addresses[{index}].{column}", TAKEN))
            seen.add(value)
    if faults:
        raise Invalid(*faults)


def _existing(column: str, given: Sequence[str]) -> Iterable[str]:
    model: type[models.Model] = VirtualMTA if column == "name_key" else IPAddress
    for start in range(0, len(given), _PARAMETERS):
        batch = given[start : start + _PARAMETERS]
        yield from model._default_manager.filter(**{f"{column}__in": batch}).values_list(column, flat=True)
