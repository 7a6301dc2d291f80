"""A platform of two nodes, made by the acts."""

from collections.abc import Callable
from dataclasses import dataclass

from ippools.models import IPAddress, IPPool
from nodes.models import Node
from nodes.nodes import create_node
from nodes.policy.model import Policy
from nodes.policy.platform import read_platform
from nodes.policy.read import policy_of
from servers.models import Server
from tests.cast import ANN, Tenant
from tests.words import ip_addresses


def read_policy(node_id: int, *, revision: int = 0) -> Policy:
    """Return a node's policy as publishing cuts it out of the platform; raises KeyError where there is no such node."""
    return policy_of(read_platform(), node_id, revision=revision)


@dataclass(frozen=True)
class Site:
    """acme sends by `shared` (first, second: on `here`), globex by `remote` (third: on `there`)."""

    here: Node
    there: Node
    key: str
    other_key: str
    shared: IPPool
    remote: IPPool
    first: IPAddress
    second: IPAddress
    third: IPAddress


def make_site(acme: Tenant, globex: Tenant, make_pool: Callable[..., IPPool], kind: str = "haraka") -> Site:
    shared = make_pool(acme.organization, "Shared", "192.0.2.1", "192.0.2.2")
    remote = make_pool(globex.organization, "Remote", "192.0.2.3")
    Server.objects.filter(pk=acme.server.pk).update(ip_pool=shared)
    Server.objects.filter(pk=globex.server.pk).update(ip_pool=remote)
    first, second, third = IPAddress.objects.order_by("pk")
    ip_addresses.update(first.pk, {"rules_new": [rule(["gmail.com", "*.gmail.com"], 20, 12_000)]}, actor=ANN)
    here = create_node(name="here", kind=kind, addresses=["192.0.2.1", "192.0.2.2"], actor=ANN)
    there = create_node(name="there", kind=kind, addresses=["192.0.2.3"], actor=ANN)
    return Site(here.node, there.node, here.key, there.key, shared, remote, first, second, third)


def rule(domains: list[str], connections: int, messages: int) -> dict[str, object]:
    return {
        "domains": domains,
        "max_concurrent_connections": connections,
        "max_messages_per_hour": messages,
        "throttle_program": None,
    }
