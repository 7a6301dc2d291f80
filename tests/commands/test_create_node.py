"""manage.py create_node"""

import pytest

from core import keys
from core.audit import Actor
from nodes.models import Node
from nodes.nodes import addresses_on
from tests.cast import written_by
from tests.factories import IPAddressFactory

pytestmark = pytest.mark.django_db
COMMAND = "create_node"


@pytest.mark.storage
def test_it_works(run):
    for number in (1, 2, 3):
        IPAddressFactory(ipv4=f"192.0.2.{number}")
    document = run(
        COMMAND, "mta1", "--kind", "postfix", "--address", "192.0.2.1", "192.0.2.2", "--address", "192.0.2.3", "--json"
    ).document
    node = Node.objects.get()
    assert document == {"id": node.pk, "name": "mta1", "kind": "postfix", "key": document["key"]}
    assert list(document) == ["id", "name", "kind", "key"]
    assert keys.digest(document["key"]) == node.key_digest
    assert addresses_on(node) == ["192.0.2.1", "192.0.2.2", "192.0.2.3"]
    assert written_by(Actor.of_command(COMMAND)) == [("node.created", "mta1", None)]


def test_it_tells_a_person(run):
    told = run(COMMAND, "mta1", "--kind", "haraka").stdout
    node = Node.objects.get()
    lines = told.splitlines()
    assert lines[0] == f"The node mta1 (haraka) has the id {node.pk}."
    assert keys.digest(lines[1].removeprefix("Its key, shown only once: ")) == node.key_digest


def test_it_refuses_an_address_of_another_node_by_name(run):
    IPAddressFactory(ipv4="192.0.2.1")
    run(COMMAND, "mta1", "--kind", "haraka", "--address", "192.0.2.1")
    refused = run(COMMAND, "mta2", "--kind", "haraka", "--address", "192.0.2.1", "--json")
    assert refused.error == "192.0.2.1 is on node mta1 already."
    assert Node.objects.count() == 1
