"""The CSV file of addresses (servers.address_file) with an additional column for the node."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.db.models import QuerySet

from core import sql_lists
from core.atomic_acts import atomic_act
from core.audit import Actor
from core.csv_table import Row
from core.errors import Fault, Invalid
from core.labels import NOTHING
from core.names import fold
from ippools.addresses import lock_addresses
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
    if said:
        # What is read below stays true until it is changed.
        lock_addresses()
    found = IPAddress.objects.filter(ipv4__in=sql_lists.addresses({row.code("ipv4") for row in said}))
    addresses = {each.ipv4: each for each in found}
    placed = NodeAddress.objects.filter(ip_address__in=found.values("pk")).select_related("node")
    on = {each.ip_address_id: each.node for each in placed}
    known = {node.name_key: node for node in Node.objects.all()}
    taken: dict[Node, set[str]] = {}
    given: dict[Node, list[IPAddress]] = {}
    faults: list[Fault] = []
    for row in said:
        address = addresses[row.code("ipv4")]
        before, name = on.get(address.pk), fold(row.text(COLUMN))
        after = None if name == NOTHING else known.get(name)
        if after is None and name != NOTHING:
            faults.append(Fault(f"line {row.line}.{COLUMN}", "is not the name of a node"))
        elif after == before:
            continue
        elif after is not None and before is not None:
            faults.append(Fault(f"line {row.line}.{COLUMN}", f"{address.ipv4} is on node {before.name} already"))
        elif after is not None:
            given.setdefault(after, []).append(address)
            _note(outcome, address.ipv4, before, after)
        elif before is not None:
            taken.setdefault(before, set()).add(address.ipv4)
            _note(outcome, address.ipv4, before, after)
    if faults:
        raise Invalid(*faults)
    _move(taken, given, actor)
    return outcome


def _move(taken: Mapping[Node, set[str]], given: Mapping[Node, Sequence[IPAddress]], actor: Actor) -> None:
    """Take addresses off their nodes, and put others on theirs: once for each node, however many addresses it has."""
    for node in sorted(taken, key=lambda each: each.pk):
        left = [each for each in nodes.addresses_on(node) if each not in taken[node]]
        nodes.change_node(node=node, addresses=left, actor=actor)
    for node in sorted(given, key=lambda each: each.pk):
        nodes.add_addresses(node=node, addresses=given[node], actor=actor)


def _note(outcome: Outcome, ipv4: str, before: Node | None, after: Node | None) -> None:
    if ipv4 in outcome.unchanged:
        outcome.unchanged.remove(ipv4)
        outcome.changed.append(ipv4)
    if ipv4 in outcome.changed:
        outcome.changes.append(
            (ipv4, COLUMN, "" if before is None else before.name, "" if after is None else after.name)
        )
