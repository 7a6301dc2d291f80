"""The file of addresses knows nodes."""

import pytest

from core.csv_table import Row
from core.errors import Invalid
from core.models import AuditEntry
from ippools.models import IPAddress
from nodes.address_file import COLUMNS, import_rows, rows_of
from nodes.nodes import addresses_on, change_node
from tests.cast import ANN
from tests.factories import IPAddressFactory

pytestmark = pytest.mark.django_db


def row(line: int, ipv4: str, **cells: str) -> Row:
    return Row(line, {"ipv4": ipv4, **cells})


def exported() -> list[Row]:
    return [
        Row(line, {name: str(cell) for name, cell in zip(COLUMNS, cells, strict=True)})
        for line, cells in enumerate(rows_of(IPAddress.objects.all()), start=2)
    ]


@pytest.mark.storage
def test_it_works(site):
    assert {each["ipv4"]: each["node"] for each in exported()} == {
        "192.0.2.1": "here",
        "192.0.2.2": "here",
        "192.0.2.3": "there",
    }
    outcome = import_rows(
        [
            row(2, "192.0.2.1", node="HERE"),
            row(3, "192.0.2.2", node="none"),
            row(4, "192.0.2.9", hostname="new.example", node="there"),
        ],
        actor=ANN,
    )
    assert (outcome.created, outcome.changed, outcome.unchanged) == (["192.0.2.9"], ["192.0.2.2"], ["192.0.2.1"])
    assert outcome.changes == [("192.0.2.9", "name", "", "ip-192.0.2.9"), ("192.0.2.2", "node", "here", "")]
    assert (addresses_on(site.here), addresses_on(site.there)) == (["192.0.2.1"], ["192.0.2.3", "192.0.2.9"])


def test_what_was_exported_changes_nothing(site):
    outcome = import_rows(exported(), actor=ANN)
    assert (outcome.created, outcome.changed, len(outcome.unchanged)) == ([], [], 3)


def test_it_rejects_another_nodes_address_and_unknown_nodes(site):
    rows = [row(2, "192.0.2.3", node="here"), row(3, "192.0.2.9", hostname="new.example", node="nowhere")]
    with pytest.raises(Invalid) as refusal:
        import_rows(rows, actor=ANN)
    assert [str(each) for each in refusal.value.faults] == [
        "line 2.node 192.0.2.3 is on node there already",
        "line 3.node is not the name of a node",
    ]
    assert not IPAddress.objects.filter(ipv4="192.0.2.9").exists()
    assert addresses_on(site.there) == ["192.0.2.3"]


def test_an_empty_cell_and_no_column_say_nothing_of_nodes(site):
    import_rows([row(2, "192.0.2.1", priority="50"), row(3, "192.0.2.2", node=" ")], actor=ANN)
    assert addresses_on(site.here) == ["192.0.2.1", "192.0.2.2"]


@pytest.mark.storage
def test_a_node_is_changed_once_however_many_addresses_come_and_go(site):
    """Otherwise a file of 1,000 rows writes all addresses of the node a thousand times into the audit trail."""
    made = [each.ipv4 for each in IPAddressFactory.create_batch(40)]
    change_node(node=site.here, addresses=made[:20], actor=ANN)
    last = AuditEntry.objects.latest("pk").pk
    import_rows([row(line, ipv4, node="none" if line < 22 else "here") for line, ipv4 in enumerate(made, 2)], actor=ANN)
    assert addresses_on(site.here) == made[20:]
    acts = AuditEntry.objects.filter(pk__gt=last).order_by("pk").values_list("act", flat=True)
    assert list(acts) == ["node.changed", "node.addresses_added"]
