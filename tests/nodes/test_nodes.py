"""Nodes: made, changed, given another key, deleted."""

import pytest

from core import keys
from core.errors import Invalid, NotFound
from core.models import AuditEntry
from nodes.models import Node, NodeAddress, NodeReport
from nodes.nodes import add_addresses, addresses_on, change_node, create_node, delete_node, rotate_key
from tests.cast import ANN
from tests.factories import IPAddressFactory

pytestmark = pytest.mark.django_db


def trail() -> list[tuple[str, object, object]]:
    return [(each.act, each.before, each.after) for each in AuditEntry.objects.order_by("pk")]


@pytest.mark.storage
def test_it_works():
    addresses = [IPAddressFactory(ipv4="192.0.2.1", ipv6="2001:db8::1"), IPAddressFactory(ipv4="192.0.2.2")]
    # An address may be named twice, by either version.
    made = create_node(name=" mta1 ", kind="postfix", addresses=["192.0.2.2", "2001:DB8::1", "192.0.2.1"], actor=ANN)
    node = Node.objects.get()
    assert (node.name, node.kind, node.revision) == ("mta1", "postfix", None)
    assert (node.key_prefix, node.key_digest) == (made.key[:6], keys.digest(made.key))
    assert list(node.addresses.order_by("pk")) == addresses
    assert NodeReport.objects.get().at is None
    [(act, before, after)] = trail()
    assert (act, before) == ("node.created", None)
    assert after["addresses"] == ["192.0.2.1", "192.0.2.2"]
    assert made.key not in str(after)
    assert node.key_digest not in str(after)


@pytest.mark.storage
def test_it_refuses_an_address_of_another_node_by_that_nodes_name():
    IPAddressFactory(ipv4="192.0.2.1")
    create_node(name="mta1", kind="postfix", addresses=["192.0.2.1"], actor=ANN)
    with pytest.raises(Invalid) as refusal:
        create_node(name="mta2", kind="haraka", addresses=["192.0.2.1"], actor=ANN)
    assert [str(each) for each in refusal.value.faults] == ["192.0.2.1 is on node mta1 already"]
    assert Node.objects.count() == 1


def test_it_refuses_what_is_no_address_and_what_is_not_ours():
    with pytest.raises(Invalid) as refusal:
        create_node(name="mta1", kind="haraka", addresses=["192.0.2.1", "bo\x00gus", "2001:db8::1"], actor=ANN)
    assert [str(each) for each in refusal.value.faults] == [
        "addresses[1] bogus is not an IP address",
        "addresses[0] 192.0.2.1 is not an address of this platform",
        "addresses[2] 2001:db8::1 is not an address of this platform",
    ]


@pytest.mark.parametrize(
    ("name", "kind", "fault"),
    [
        ("MTA1", "haraka", "name has already been taken"),
        (" ", "haraka", "name is required"),
        ("mta2", "pigeon", "kind must be one of postfix, haraka, kumomta, powermta"),
    ],
)
def test_it_refuses_names_and_kinds(name, kind, fault):
    create_node(name="mta1", kind="haraka", actor=ANN)
    with pytest.raises(Invalid) as refusal:
        create_node(name=name, kind=kind, actor=ANN)
    assert [str(each) for each in refusal.value.faults] == [fault]


@pytest.mark.storage
def test_a_change_says_which_addresses_are_on_it():
    for number in (1, 2, 3):
        IPAddressFactory(ipv4=f"192.0.2.{number}")
    node = create_node(name="mta1", kind="haraka", addresses=["192.0.2.1", "192.0.2.2"], actor=ANN).node
    change_node(node=node, name="mta-1", addresses=["192.0.2.2", "192.0.2.3"], actor=ANN)
    assert addresses_on(node) == ["192.0.2.2", "192.0.2.3"]
    assert Node.objects.get().name == "mta-1"
    change_node(node=node, addresses=["192.0.2.3", "192.0.2.2"], actor=ANN)
    assert [(act, (before or {}).get("addresses"), after["addresses"]) for act, before, after in trail()] == [
        ("node.created", None, ["192.0.2.1", "192.0.2.2"]),
        ("node.changed", ["192.0.2.1", "192.0.2.2"], ["192.0.2.2", "192.0.2.3"]),
    ]


def test_addresses_are_added_beside_those_that_are_there():
    first, second = IPAddressFactory(ipv4="192.0.2.1"), IPAddressFactory(ipv4="192.0.2.2")
    node = create_node(name="mta1", kind="haraka", addresses=["192.0.2.1"], actor=ANN).node
    assert add_addresses(node=node, addresses=[first, second], actor=ANN) == 1
    assert addresses_on(node) == ["192.0.2.1", "192.0.2.2"]
    other = create_node(name="mta2", kind="haraka", actor=ANN).node
    with pytest.raises(Invalid, match=r"192\.0\.2\.1 is on node mta1 already"):
        add_addresses(node=other, addresses=[first], actor=ANN)


def test_a_new_key_ends_the_old_one():
    made = create_node(name="mta1", kind="haraka", actor=ANN)
    again = rotate_key(node=made.node, actor=ANN)
    assert again.key != made.key
    assert Node.objects.get().key_digest == keys.digest(again.key)
    assert [act for act, _, _ in trail()] == ["node.created", "node.key_rotated"]


def test_a_deleted_node_leaves_its_addresses():
    address = IPAddressFactory(ipv4="192.0.2.1")
    node = create_node(name="mta1", kind="haraka", addresses=["192.0.2.1"], actor=ANN).node
    delete_node(node=node, actor=ANN)
    assert not NodeAddress.objects.exists()
    address.refresh_from_db()
    assert trail()[-1][1]["addresses"] == ["192.0.2.1"]
    with pytest.raises(NotFound):
        rotate_key(node=node, actor=ANN)


def test_an_address_that_is_deleted_leaves_its_node():
    address = IPAddressFactory(ipv4="192.0.2.1")
    node = create_node(name="mta1", kind="haraka", addresses=["192.0.2.1"], actor=ANN).node
    address.delete()
    assert addresses_on(node) == []
