"""What the tables of nodes refuse."""

from nodes.models import Node, PolicyText, Publication, Revision
from tests.factories import (
    IPAddressFactory,
    NodeAddressFactory,
    NodeFactory,
    NodePolicyFactory,
    RevisionFactory,
    RevisionPolicyFactory,
)
from tests.refusals import Refusals

refusals = Refusals("nodes")


@refusals.by("nodes_node_name_unique")
def _():
    NodeFactory(name="Süd")
    NodeFactory(name="SÜD")


@refusals.by("nodes_node_name_not_empty")
def _():
    NodeFactory(name="")


@refusals.by("nodes_node_kind")
def _():
    NodeFactory()
    Node.objects.update(kind="pigeon")


@refusals.by("nodes.Node.key_digest")
def _():
    NodeFactory(key_digest=NodeFactory().key_digest)


@refusals.by("nodes.NodeAddress.ip_address")
def _():
    # On one node at most, or a limit would be shared between machines.
    address = IPAddressFactory()
    NodeAddressFactory(ip_address=address)
    NodeAddressFactory(ip_address=address)


@refusals.by("nodes.Revision.number")
def _():
    RevisionFactory(number=7)
    RevisionFactory(number=7)


@refusals.by("nodes_revision_kind")
def _():
    RevisionFactory(number=7)
    Revision.objects.update(repeats=6)


@refusals.by("nodes.PolicyText.digest")
def _():
    PolicyText.objects.create(digest="a" * 64, body=b"")
    PolicyText.objects.create(digest="a" * 64, body=b"")


@refusals.by("nodes_nodepolicy_number_unique")
def _():
    NodePolicyFactory()
    NodePolicyFactory()


@refusals.by("nodes_revisionpolicy_unique")
def _():
    first = RevisionPolicyFactory()
    RevisionPolicyFactory(revision=first.revision, policy=first.policy)


@refusals.by("nodes_publication_one")
def _():
    Publication.objects.create(id=2)


@refusals.by("nodes_publication_canary")
def _():
    Publication.objects.create(canary=RevisionFactory(number=7))


test_the_database_refuses = refusals.as_test()
