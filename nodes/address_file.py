"""The CSV file of addresses (servers.address_file) with an additional column for the node."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.db.models import QuerySet

from core import sql_lists
from core.atomic_acts import atomic_act
from core.audit import Actor
from core.csv_table import Row, at_line
from core.errors import Fault, Invalid
from core.labels import NOTHING
from core.names import fold
from ippools.models import IPAddress
from nodes import nodes
from nodes.models import Node, NodeAddress
from servers import address_file
from servers.address_file import Outcome

COLUMN = "node"
COLUMNS = (*address_file.COLUMNS, COLUMN)


def rows_of(addresses: QuerySet[IPAddress]) -> Iterator[tuple[Any, ...]]:
    """Yield a row for each address, with the name of its node last; empty: it is on none."""
    on = dict(NodeAddress.objects.values_list("ip_address__ipv4", "node__name"))
    for row in address_file.rows_of(addresses):
        yield (*row, on.get(row[0], ""))


@atomic_act
def import_rows(rows: Sequence[Row], *, actor: Actor) -> Outcome:
    """Import the addresses, and put each on the node that its row names; `none` takes it off, an empty cell leaves it.

    All or nothing. An address that is on another node is refused by that node's name: it is taken off there first.
    """
    outcome = address_file.import_rows(rows, actor=actor)
    said = [row for row in rows if row.text(COLUMN)]
    found = IPAddress.objects.filter(ipv4__in=sql_lists.addresses({row.code("ipv4") for row in said}))
    addresses = {each.ipv4: each for each in found}
    placed = NodeAddress.objects.filter(ip_address__in=found.values("pk")).select_related("node")
    on = {each.ip_address_id: each.node for each in placed}
    known = {node.name_key: node for node in Node.objects.all()}
    faults: list[Fault] = []
    for row in said:
        address = addresses[row.code("ipv4")]
        before = on.get(address.pk)
        try:
            after = _move(address, before, row.text(COLUMN), known, actor)
        except Invalid as refusal:
            faults += at_line(row, Invalid(*(Fault(COLUMN, each.message) for each in refusal.faults)))
            continue
        if after != before:
            _note(outcome, address.ipv4, before, after)
    if faults:
        raise Invalid(*faults)
    return outcome


def _move(address: IPAddress, before: Node | None, name: str, known: Mapping[str, Node], actor: Actor) -> Node | None:
    """Assign the address to the node with this name, or to none; return the node's name."""
    if fold(name) == NOTHING:
        if before is not None:
            left = [each for each in nodes.addresses_on(before) if each != address.ipv4]
            nodes.change_node(node=before, addresses=left, actor=actor)
        return None
    node = known.get(fold(name))
    if node is None:
        raise Invalid(Fault("", "is not the name of a node"))
    nodes.add_addresses(node=node, addresses=[address], actor=actor)
    return node


def _note(outcome: Outcome, ipv4: str, before: Node | None, after: Node | None) -> None:
    if ipv4 in outcome.unchanged:
        outcome.unchanged.remove(ipv4)
        outcome.changed.append(ipv4)
    if ipv4 in outcome.changed:
        outcome.changes.append(
            (ipv4, COLUMN, "" if before is None else before.name, "" if after is None else after.name)
        )
