"""Create, change and delete nodes, rotate their keys, and assign addresses to them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from django.db import transaction

from core import keys
from core.acts import locked, save_change
from core.atomic_acts import atomic_act
from core.audit import Actor, record, snapshot
from core.errors import TAKEN, Fault, Invalid
from core.names import fold
from core.texts import clean_name
from ippools.addresses import lock_addresses
from ippools.models import IPAddress
from ippools.values import canonical_ipv6, is_ipv4
from nodes.models import Node, NodeAddress, NodeReport

# SQLite takes some 30,000 parameters in a statement.
_PARAMETERS = 30_000


@dataclass(frozen=True, slots=True)
class KeyedNode:
    """A node and its key in clear text, which is not stored."""

    node: Node
    key: str


@atomic_act
def create_node(*, name: str, kind: str, actor: Actor, addresses: Sequence[str] = ()) -> KeyedNode:
    """Create a node with these addresses (IPv4 or IPv6, as text); raises Invalid with every fault."""
    lock_addresses()
    name = _untaken(name, None)
    if kind not in Node.Kind.values:
        raise Invalid(Fault("kind", f"must be one of {', '.join(Node.Kind.values)}"))
    found = _found(addresses)
    _refuse_elsewhere(found, None)
    node = Node(name=name, kind=kind)
    key = keys.issue(node)
    node.save(force_insert=True)
    NodeReport.objects.create(node=node)
    NodeAddress.objects.bulk_create(NodeAddress(node=node, ip_address=each) for each in found)
    after = snapshot(node) | {"addresses": [each.ipv4 for each in found]}
    record(actor=actor, act="node.created", target=node, after=after)
    return KeyedNode(node, key)


@atomic_act
def change_node(*, node: Node, actor: Actor, name: str | None = None, addresses: Sequence[str] | None = None) -> Node:
    """Rename the node, or set its addresses (the complete list); None keeps them. Raises Invalid, NotFound."""
    lock_addresses()
    held = _lock(node)
    before = document(held)
    if name is not None:
        held.name = _untaken(name, held)
    if addresses is not None:
        found = _found(addresses)
        _refuse_elsewhere(found, held)
        _place(held, found)
    save_change(held, before, act="node.changed", actor=actor, document=document)
    return held


@transaction.atomic
def add_addresses(*, node: Node, addresses: Collection[IPAddress], actor: Actor) -> int:
    """Add addresses to the node, and return how many are new; raises Invalid, NotFound."""
    lock_addresses()
    held = _lock(node)
    _refuse_elsewhere(addresses, held)
    present = set(held.node_addresses.values_list("ip_address_id", flat=True))
    fresh = [each for each in addresses if each.pk not in present]
    NodeAddress.objects.bulk_create(NodeAddress(node=held, ip_address=each) for each in fresh)
    if fresh:
        after = {"addresses": [each.ipv4 for each in fresh]}
        record(actor=actor, act="node.addresses_added", target=held, after=after)
    return len(fresh)


@transaction.atomic
def rotate_key(*, node: Node, actor: Actor) -> KeyedNode:
    """Rotate the node's key; the old one is invalid at once. Raises NotFound."""
    held = _lock(node)
    before = snapshot(held)
    key = keys.issue(held)
    held.save(update_fields=["key_prefix", "key_digest", "updated_at"])
    record(actor=actor, act="node.key_rotated", target=held, before=before, after=snapshot(held))
    return KeyedNode(held, key)


@transaction.atomic
def delete_node(*, node: Node, actor: Actor) -> None:
    """Delete the node. Its key is invalid at once, and its addresses are kept, without a node. Raises NotFound."""
    held = _lock(node)
    record(actor=actor, act="node.deleted", target=held, before=document(held))
    held.delete()


def addresses_on(node: Node) -> list[str]:
    """Return the IPv4 addresses on the node, by id."""
    return list(node.node_addresses.order_by("ip_address_id").values_list("ip_address__ipv4", flat=True))


def document(node: Node) -> dict[str, object]:
    """Return the node for the audit trail."""
    return snapshot(node) | {"addresses": addresses_on(node)}


def _lock(node: Node) -> Node:
    return locked(Node.objects.all(), node.pk, no_key=False)


def _untaken(name: str, node: Node | None) -> str:
    name = clean_name(name)
    same = Node.objects.filter(name_key=fold(name))
    if node is not None:
        same = same.exclude(pk=node.pk)
    if same.exists():
        raise Invalid(Fault("name", TAKEN))
    return name


def _found(texts: Sequence[str]) -> list[IPAddress]:
    """Return the addresses that these texts name, each once, by id; raises Invalid."""
    faults, wanted = [], {}
    for index, text in enumerate(texts):
        plain = _canonical(text)
        if plain is None:
            faults.append(Fault(f"addresses[{index}]", f"{_shown(text)} is not an IP address"))
        else:
            wanted[plain] = index
    rows: dict[str, IPAddress] = {}
    names = list(wanted)
    for start in range(0, len(names), _PARAMETERS):
        batch = names[start : start + _PARAMETERS]
        rows |= {str(row.ipv4): row for row in IPAddress.objects.filter(ipv4__in=batch)}
        rows |= {str(row.ipv6): row for row in IPAddress.objects.filter(ipv6__in=batch)}
    faults += [
        Fault(f"addresses[{index}]", f"{name} is not an address of this platform")
        for name, index in wanted.items()
        if name not in rows
    ]
    if faults:
        raise Invalid(*faults)
    return sorted({row.pk: row for name, row in rows.items() if name in wanted}.values(), key=lambda row: row.pk)


def _canonical(text: str) -> str | None:
    if not isinstance(text, str):
        return None
    text = text.strip()
    if is_ipv4(text):
        return text
    try:
        return canonical_ipv6(text)
    except ValueError:
        return None


def _shown(text: object) -> str:
    return repr(text)[:60] if not isinstance(text, str) else "".join(c for c in text if c.isprintable())[:60]


def _refuse_elsewhere(addresses: Collection[IPAddress], node: Node | None) -> None:
    """Raise Invalid with the name of the node for each address that is on another one."""
    placed: dict[int, str] = {}
    ids = [each.pk for each in addresses]
    for start in range(0, len(ids), _PARAMETERS):
        elsewhere = NodeAddress.objects.filter(ip_address_id__in=ids[start : start + _PARAMETERS])
        if node is not None:
            elsewhere = elsewhere.exclude(node=node)
        placed.update(elsewhere.values_list("ip_address_id", "node__name"))
    faults = [Fault("", f"{each.ipv4} is on node {placed[each.pk]} already") for each in addresses if each.pk in placed]
    if faults:
        raise Invalid(*faults)


def _place(node: Node, addresses: Collection[IPAddress]) -> None:
    present = set(node.node_addresses.values_list("ip_address_id", flat=True))
    wanted = {each.pk for each in addresses}
    gone = sorted(present - wanted)
    for start in range(0, len(gone), _PARAMETERS):
        node.node_addresses.filter(ip_address_id__in=gone[start : start + _PARAMETERS]).delete()
    NodeAddress.objects.bulk_create(
        NodeAddress(node=node, ip_address=each) for each in addresses if each.pk not in present
    )
