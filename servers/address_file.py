"""The CSV file of addresses with their pools: export, and import row by row."""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from django.db.models import QuerySet

from core.atomic_acts import atomic_act
from core.audit import Actor
from core.csv_table import NoWholeNumber, Row, at_line
from core.errors import Fault, Invalid, Refused
from core.labels import NOTHING, Labels, Unreadable
from core.names import fold
from core.references import Reference
from ippools import ip_addresses
from ippools.ip_addresses import AddressFields
from ippools.models import IPAddress, IPPool, IPPoolMember, VirtualMTA
from ippools.values import canonical_ipv6, ipv6_faults, is_ipv4, is_read_as_address
from servers import pools
from servers.models import Organization
from throttling.models import ThrottlingTemplate

COLUMNS = (
    "ipv4",
    "name",
    "ipv6",
    "public_ipv4",
    "public_ipv6",
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
_YES = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
# No two addresses have the same.
_UNIQUE = ("name", "ipv6")
# What a person must see first of what a file does.
_GRAVEST = ("delivery_paused", "pools")


@dataclass(slots=True)
class Outcome:
    """The effects of a file: created, changed and unchanged addresses, and each changed cell.

    A change is (IPv4, column, before, after); pauses come first, then pools. Of a new address: pause, pools and name.
    """

    created: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    changes: list[tuple[str, str, str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Names:
    """What the records are called that cells refer to."""

    pools: Labels
    templates: Labels
    redirects: Labels


def rows_of(addresses: QuerySet[IPAddress]) -> Iterator[tuple[Any, ...]]:
    """Yield a row for each address, by a few queries for every two thousand."""
    names = _names()
    found = addresses.select_related("rules").order_by("pk")
    batch: list[IPAddress] = []
    for address in found.iterator(chunk_size=_BATCH):
        batch.append(address)
        if len(batch) == _BATCH:
            yield from _rows(batch, names)
            batch = []
    yield from _rows(batch, names)


@atomic_act
def import_rows(rows: Sequence[Row], *, actor: Actor) -> Outcome:
    """Create missing addresses, change existing ones (by IPv4), and set their pools.

    All or nothing: raises Invalid with a fault for each line that is refused (`line 3.hostname`). An empty cell, or a column
    that the file lacks, leaves the value as it is; `none` takes it away.
    """
    if len(rows) > MOST_ROWS:
        line = rows[MOST_ROWS].line
        raise Invalid(Fault(f"line {line}", f"is over the limit: a file can have {MOST_ROWS:,} rows"))
    faults = _given_twice(rows)
    ipv4s = [ipv4 for row in rows if is_ipv4(ipv4 := row.code("ipv4"))]
    names = _names()
    before = _cells(ipv4s, names)
    faults += _change_hands(rows, before)
    found: dict[int, list[Fault]] = {}
    ordered, exchanged = _in_order(rows, before)
    _give_up(exchanged, actor)
    for row in ordered:
        try:
            _import(row, names, actor)
        except Invalid as refusal:
            found[row.line] = at_line(row, refusal)
        except Refused as refusal:
            found[row.line] = [Fault(f"line {row.line}", refusal.message)]
    faults += [fault for line in sorted(found) for fault in found[line]]
    if faults:
        raise Invalid(*faults)
    # An address that was made may be what another is now redirected to.
    return _outcome(before, _cells(ipv4s, _names()))


def _given_twice(rows: Sequence[Row]) -> list[Fault]:
    lines: dict[str, int] = {}
    faults = []
    for row in rows:
        first = lines.setdefault(row.code("ipv4"), row.line)
        if first != row.line:
            faults.append(Fault(f"line {row.line}.ipv4", f"is already in line {first}"))
    return faults


def _change_hands(rows: Sequence[Row], before: Mapping[str, tuple[str, ...]]) -> list[Fault]:
    """Return a fault for each redirect to a name that this file takes from one address and gives another."""
    at = COLUMNS.index("name")
    had = {fold(cells[at]): ipv4 for ipv4, cells in before.items()}
    gets = {fold(row.text("name")): row.code("ipv4") for row in rows}
    return [
        Fault(
            f"line {row.line}.redirect",
            f"names “{label}”, which this file takes from {had[name]} and gives {gets[name]}: use the id of one of them",
        )
        for row in rows
        if (label := row.text("redirect")) and (name := fold(label)) in had and gets.get(name, had[name]) != had[name]
    ]


def _in_order(rows: Sequence[Row], before: Mapping[str, tuple[str, ...]]) -> tuple[list[Row], dict[str, set[str]]]:
    """Return the rows so that a name, or an IPv6 address, is given up before another row takes it, however they are sorted.

    And, by IPv4, what addresses that exchange theirs give up before the first row: none of it is free otherwise.
    """
    by_ipv4 = {row.code("ipv4"): row for row in rows}
    holders = {
        (column, held): ipv4
        for ipv4, cells in before.items()
        for column in _UNIQUE
        if (held := _compared(column, cells[COLUMNS.index(column)]))
    }
    ordered: list[Row] = []
    exchanged: dict[str, set[str]] = {}
    seen: set[int] = set()
    ready: set[int] = set()
    waiting = [(row, False) for row in reversed(rows)]
    while waiting:
        row, is_ready = waiting.pop()
        if is_ready:
            ordered.append(row)
            ready.add(row.line)
        elif row.line not in seen:
            seen.add(row.line)
            waiting.append((row, True))
            for column in _UNIQUE:
                wanted = column, _compared(column, row.text(column))
                holder = by_ipv4.get(holders.get(wanted, ""))
                if holder is None or holder is row or _compared(column, holder.text(column)) in ("", wanted[1]):
                    continue
                if holder.line in seen - ready:
                    # It waits for this row, which waits for it.
                    exchanged.setdefault(holder.code("ipv4"), set()).add(column)
                waiting.append((holder, False))
    return ordered, exchanged


def _compared(column: str, text: str) -> str:
    """Return a name, or an IPv6 address, as it is compared with others."""
    return canonical_ipv6(text) if column == "ipv6" and text and not ipv6_faults(text) else fold(text)


def _give_up(exchanged: Mapping[str, set[str]], actor: Actor) -> None:
    """Take from addresses what others get before they have theirs; until then, an address has a name that none has."""
    for address in IPAddress.objects.filter(ipv4__in=exchanged).order_by("pk"):
        free: AddressFields = {}
        if "name" in exchanged[address.ipv4]:
            free["name"] = f"ip-{address.ipv4}-{secrets.token_hex(4)}"
        if "ipv6" in exchanged[address.ipv4]:
            free["ipv6"] = None
        ip_addresses.change(address.pk, actor=actor, **free)


def _cells(ipv4s: Sequence[str], names: _Names) -> dict[str, tuple[str, ...]]:
    addresses = list(IPAddress.objects.filter(ipv4__in=ipv4s).select_related("rules"))
    return {cells[0]: tuple(map(str, cells)) for cells in _rows(addresses, names)}


def _outcome(before: Mapping[str, tuple[str, ...]], after: Mapping[str, tuple[str, ...]]) -> Outcome:
    outcome = Outcome()
    for ipv4, cells in after.items():
        if ipv4 not in before:
            outcome.created.append(ipv4)
            outcome.changes += [
                (ipv4, column, "", cell)
                for column, cell in zip(COLUMNS, cells, strict=True)
                if column in ("name", *_GRAVEST) and cell not in ("", "no")
            ]
        elif cells == before[ipv4]:
            outcome.unchanged.append(ipv4)
        else:
            outcome.changed.append(ipv4)
            outcome.changes += [
                (ipv4, column, old, new)
                for column, old, new in zip(COLUMNS, before[ipv4], cells, strict=True)
                if old != new
            ]
    rank = {column: place for place, column in enumerate(_GRAVEST)}
    outcome.changes.sort(key=lambda change: rank.get(change[1], len(rank)))
    return outcome


def _import(row: Row, names: _Names, actor: Actor) -> None:
    ipv4 = row.code("ipv4")
    values, wanted = _values(row, names)
    # PostgreSQL refuses to compare with an invalid address; the act reports the error.
    known = IPAddress.objects.filter(ipv4=ipv4) if is_ipv4(ipv4) else IPAddress.objects.none()
    address = known.first()
    if address is None:
        address = ip_addresses.create(actor=actor, **_defaults(ipv4, values))
    else:
        ip_addresses.change(address.pk, actor=actor, **values)
    _put_into(address, wanted, actor)


def _host_name(text: str, faults: list[Fault]) -> str:
    if is_read_as_address(text):
        faults.append(Fault("hostname", "is read as an IP address by resolvers"))
    return text.removesuffix(".")


def _values(row: Row, names: _Names) -> tuple[AddressFields, set[int] | None]:
    """Return what the row gives, and its pools (None: it says nothing of pools)."""
    values: dict[str, Any] = {}
    faults: list[Fault] = []
    if name := row.text("name"):
        values["name"] = name
    if hostname := row.code("hostname"):
        values["hostname"] = _host_name(hostname, faults)
    for column in ("ipv6", "public_ipv4", "public_ipv6"):
        if address := row.code(column):
            values[column] = None if address.lower() == NOTHING else address
    if row.code("priority"):
        values["priority"] = _number(row, "priority", faults)
    if label := row.text("template"):
        values["template"] = _reference(label, names.templates)
    if label := row.text("redirect"):
        values["redirect"] = None if label.lower() == NOTHING else _reference(label, names.redirects)
    if paused := row.code("delivery_paused").lower():
        values["delivery_paused"] = _YES.get(paused)
        faults += [Fault("delivery_paused", "must be yes or no")] if paused not in _YES else []
    values |= _limits(row, faults)
    wanted = _pools(row.text("pools"), names.pools, faults)
    if faults:
        raise Invalid(*faults)
    return cast(AddressFields, values), wanted


def _limits(row: Row, faults: list[Fault]) -> dict[str, int | None]:
    return {
        name: None if text.lower() == NOTHING else _number(row, name, faults)
        for name in ("max_concurrent_connections", "max_messages_per_hour")
        if (text := row.code(name))
    }


def _reference(label: str, labels: Labels) -> Reference:
    try:
        return Reference(labels.pk_of(label))
    except Unreadable:
        # It may have been made by a line before; where it was not, the act says so.
        return Reference(name=label)


def _pools(text: str, labels: Labels, faults: list[Fault]) -> set[int] | None:
    if not text:
        return None
    if text.lower() == NOTHING:
        return set()
    found = set()
    for label in filter(None, map(str.strip, text.split(SEPARATOR))):
        try:
            found.add(labels.pk_of(label))
        except Unreadable as problem:
            faults.append(Fault("pools", str(problem)))
    return found


def _number(row: Row, name: str, faults: list[Fault]) -> int | None:
    try:
        return row.number(name)
    except NoWholeNumber as problem:
        faults.append(Fault(name, str(problem)))
        return None


def _defaults(ipv4: str, values: AddressFields) -> AddressFields:
    return {"ipv4": ipv4, "name": f"ip-{ipv4}", "template": Reference(name="Default"), **values}


def _put_into(address: IPAddress, wanted: set[int] | None, actor: Actor) -> None:
    """Put the address into exactly these pools."""
    if wanted is None:
        return
    present = set(IPPoolMember.objects.filter(ip_address=address).values_list("pool_id", flat=True))
    for pool in IPPool.objects.filter(pk__in=wanted - present).order_by("pk"):
        pools.add_members(pool=pool, addresses=[address], actor=actor, organization_id=pools.owner_id_of(pool))
    for pool in IPPool.objects.filter(pk__in=present - wanted).order_by("pk"):
        pools.remove_members(pool=pool, addresses=[address], actor=actor)


def _names() -> _Names:
    """Return what everything is called in a file; a pool by its name, after its organization's permalink if it has one."""
    permalinks = dict(Organization.objects.values_list("uuid", "permalink"))
    called = [
        (pk, name if namespace is None else f"{permalinks.get(namespace, namespace)}/{name}")
        for pk, namespace, name in IPPool.objects.values_list("pk", "namespace", "name")
    ]
    return _Names(
        Labels(called, forbidden=SEPARATOR),
        Labels(ThrottlingTemplate.objects.values_list("pk", "name")),
        Labels(VirtualMTA.objects.values_list("pk", "name")),
    )


def _rows(addresses: Sequence[IPAddress], names: _Names) -> Iterator[tuple[Any, ...]]:
    members: dict[int, list[str]] = {}
    pairs = IPPoolMember.objects.filter(ip_address__in=[each.pk for each in addresses]).order_by("pool_id")
    for address_id, pool_id in pairs.values_list("ip_address_id", "pool_id"):
        members.setdefault(address_id, []).append(names.pools.of(pool_id))
    for each in addresses:
        yield (
            each.ipv4,
            each.name,
            each.ipv6 or "",
            each.public_ipv4 or "",
            each.public_ipv6 or "",
            each.hostname,
            each.priority,
            names.templates.of(each.template_id),
            names.redirects.of(each.redirect_id),
            "yes" if each.delivery_paused else "no",
            "" if each.rules.max_concurrent_connections is None else each.rules.max_concurrent_connections,
            "" if each.rules.max_messages_per_hour is None else each.rules.max_messages_per_hour,
            SEPARATOR.join(members.get(each.pk, [])),
        )
