"""Addresses with their pools as rows of a table: written out, and read back row by row by the acts that pages use."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db.models import QuerySet

from core.audit import Actor
from core.errors import Fault, Invalid, Refused
from core.races import atomic_act
from ippools import ip_addresses
from ippools.addresses import is_ipv4
from ippools.models import IPAddress, IPPool, IPPoolMember
from servers import pools
from servers.addresses import change_address
from servers.models import Organization

COLUMNS = (
    "ipv4",
    "name",
    "ipv6",
    "hostname",
    "priority",
    "template",
    "redirect",
    "delivery_paused",
    "max_concurrent_connections",
    "max_messages_per_hour",
    "pools",
)
MOST_ROWS = 1_000
SEPARATOR = ";"
_BATCH = 2_000
_YES = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False, "": False}


@dataclass(slots=True)
class Outcome:
    """What a file did: the addresses that it made, changed, and found as they are."""

    created: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)


def rows_of(addresses: QuerySet[IPAddress]) -> Iterator[tuple[Any, ...]]:
    """Yield a row for each address, by a few queries for every two thousand."""
    names = _pool_names()
    found = addresses.select_related("template", "redirect", "rules").order_by("pk")
    batch: list[IPAddress] = []
    for address in found.iterator(chunk_size=_BATCH):
        batch.append(address)
        if len(batch) == _BATCH:
            yield from _rows(batch, names)
            batch = []
    yield from _rows(batch, names)


@atomic_act
def import_rows(rows: Iterable[Mapping[str, str]], *, actor: Actor) -> Outcome:
    """Make the addresses that there are not, change those that there are (by IPv4), and put them into exactly their pools.

    All or nothing: raises Invalid with a fault for each line that is refused (`line 3.hostname`), the first row being line 2.
    A column that the file lacks is left as it is.
    """
    outcome, faults = Outcome(), []
    by_name = {label: pk for pk, label in _pool_names().items()}
    for number, row in enumerate(rows, start=2):
        if number - 1 > MOST_ROWS:
            faults.append(Fault(f"line {number}", f"is one too many: a file may have {MOST_ROWS:,} rows"))
            break
        try:
            _import(row, by_name, outcome, actor)
        except Invalid as refusal:
            faults += [
                Fault(f"line {number}.{each.path}" if each.path else f"line {number}", each.message)
                for each in refusal.faults
            ]
        except Refused as refusal:
            faults.append(Fault(f"line {number}", refusal.message))
    if faults:
        raise Invalid(*faults)
    return outcome


def _import(row: Mapping[str, str], by_name: Mapping[str, int], outcome: Outcome, actor: Actor) -> None:
    ipv4 = row.get("ipv4", "").strip()
    values, wanted = _values(row, by_name)
    # PostgreSQL would not even compare with what is no address; the act says what is wrong with it.
    known = IPAddress.objects.filter(ipv4=ipv4) if is_ipv4(ipv4) else IPAddress.objects.none()
    address = known.select_related("rules").first()
    if address is None:
        made = ip_addresses.create({"ipv4": ipv4, **_defaults(ipv4, values)}, actor=actor)
        _put_into(made, wanted, actor)
        outcome.created.append(ipv4)
        return
    before = ip_addresses.document(address)
    is_moved = _put_into(address, wanted, actor)
    is_changed = _differs(address, values)
    if is_changed:
        change_address(address.pk, values, actor=actor)
    same = before == ip_addresses.document(IPAddress.objects.select_related("rules").get(pk=address.pk))
    (outcome.unchanged if same and not is_moved else outcome.changed).append(ipv4)


def _differs(address: IPAddress, values: Mapping[str, Any]) -> bool:
    """Return whether any given value is another than the address has; references are left to the act."""
    plain = {"name", "hostname", "ipv6", "priority", "delivery_paused"} & set(values)
    if any(getattr(address, name) != values[name] for name in plain):
        return True
    if any(getattr(address.rules, name) != value for name, value in values.get("default", {}).items()):
        return True
    template, redirect = values.get("throttling_template"), values.get("redirect")
    if template is not None and template["name"] != address.template.name:
        return True
    current = None if address.redirect is None else address.redirect.name
    return "redirect" in values and (None if redirect is None else redirect["name"]) != current


def _values(row: Mapping[str, str], by_name: Mapping[str, int]) -> tuple[dict[str, Any], set[int] | None]:
    """Return what the row gives in the form in which acts read it, and its pools (None: it says nothing of pools)."""
    values: dict[str, Any] = {}
    faults: list[Fault] = []
    values |= {name: row[name].strip() for name in ("name", "hostname") if row.get(name, "").strip()}
    if "ipv6" in row:
        values["ipv6"] = row["ipv6"].strip() or None
    if row.get("priority", "").strip():
        values["priority"] = _number(row, "priority", faults)
    if row.get("template", "").strip():
        values["throttling_template"] = {"name": row["template"].strip()}
    if "redirect" in row:
        redirect = row["redirect"].strip()
        values["redirect"] = {"name": redirect} if redirect else None
    if "delivery_paused" in row:
        paused = _YES.get(row["delivery_paused"].strip().lower())
        if paused is None:
            faults.append(Fault("delivery_paused", "must be yes or no"))
        values["delivery_paused"] = paused
    limits = [name for name in ("max_concurrent_connections", "max_messages_per_hour") if name in row]
    if limits:
        values["default"] = {name: _number(row, name, faults) for name in limits}
    wanted = _pools(row["pools"], by_name, faults) if "pools" in row else None
    if faults:
        raise Invalid(*faults)
    return values, wanted


def _pools(text: str, by_name: Mapping[str, int], faults: list[Fault]) -> set[int]:
    labels = [label for each in text.split(SEPARATOR) if (label := each.strip())]
    faults += [Fault("pools", f"names “{label}”, which is no pool") for label in labels if label not in by_name]
    return {by_name[label] for label in labels if label in by_name}


def _number(row: Mapping[str, str], name: str, faults: list[Fault]) -> int | None:
    text = row[name].strip().replace(",", "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        faults.append(Fault(name, "must be a whole number"))
        return None
    return int(text)


def _defaults(ipv4: str, values: dict[str, Any]) -> dict[str, Any]:
    return {"name": f"ip-{ipv4}", "throttling_template": {"name": "Default"}, **values}


def _put_into(address: IPAddress, wanted: set[int] | None, actor: Actor) -> bool:
    """Put the address into exactly these pools, and return whether that changed anything."""
    if wanted is None:
        return False
    present = set(IPPoolMember.objects.filter(ip_address=address).values_list("pool_id", flat=True))
    for pool in IPPool.objects.filter(pk__in=wanted - present).order_by("pk"):
        pools.add_members(pool=pool, addresses=[address], actor=actor, organization_id=pools.owner_id_of(pool))
    for pool in IPPool.objects.filter(pk__in=present - wanted).order_by("pk"):
        pools.remove_members(pool=pool, addresses=[address], actor=actor)
    return wanted != present


def _pool_names() -> dict[int, str]:
    """Return what each pool is called in a file: its name, after its organization's permalink if it has one."""
    permalinks = dict(Organization.objects.values_list("uuid", "permalink"))
    found: dict[int, str] = {}
    for pk, uuid, namespace, name in IPPool.objects.values_list("pk", "uuid", "namespace", "name"):
        label = name if namespace is None else f"{permalinks.get(namespace, namespace)}/{name}"
        # Where the name itself has the separator, the uuid stands for it.
        found[pk] = str(uuid) if SEPARATOR in label else label
    return found


def _rows(addresses: list[IPAddress], names: Mapping[int, str]) -> Iterator[tuple[Any, ...]]:
    members: dict[int, list[str]] = {}
    pairs = IPPoolMember.objects.filter(ip_address__in=[each.pk for each in addresses]).order_by("pool_id")
    for address_id, pool_id in pairs.values_list("ip_address_id", "pool_id"):
        members.setdefault(address_id, []).append(names[pool_id])
    for each in addresses:
        yield (
            each.ipv4,
            each.name,
            each.ipv6 or "",
            each.hostname,
            each.priority,
            each.template.name,
            "" if each.redirect is None else each.redirect.name,
            "yes" if each.delivery_paused else "no",
            "" if each.rules.max_concurrent_connections is None else each.rules.max_concurrent_connections,
            "" if each.rules.max_messages_per_hour is None else each.rules.max_messages_per_hour,
            SEPARATOR.join(members.get(each.pk, [])),
        )
