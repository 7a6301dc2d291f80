"""Authenticates node keys, and lists the servers that a node can report events for."""

import datetime

from django.db.models import Q, QuerySet

from core import keys
from core.errors import Refused
from core.sql_lists import ids
from ippools.models import IPAddress, IPPoolMember
from nodes.models import Node, NodePolicy
from servers.models import IPPoolRule, Server


class InvalidNodeKey(Refused):
    """No node has this key: it is wrong, was rotated, or its node was deleted."""

    default_message = "The node key is not valid"


def authenticate_node(key: str, *, at: datetime.datetime) -> Node:
    """Return the node with this key, by one query; accepts any text. Raises InvalidNodeKey."""
    node = keys.find(Node.objects.select_related("revision"), key, at=at)
    if node is None:
        raise InvalidNodeKey
    return node


def servers_of(node: Node) -> QuerySet[Server]:
    """Return the servers whose mail may leave, or left, from the node; deleted ones too, whose mail goes on bouncing.

    Those whose pools, or pools of whose rules, have addresses on it, and those of the policy that it is to apply.
    """
    published = NodePolicy.objects.filter(node_id=node.pk, revisions__revision=node.revision_id)
    served = [pk for servers in published.values_list("servers", flat=True) for pk in servers]
    return Server.objects.filter(send_by(IPAddress.objects.filter(node_address__node=node)) | Q(pk__in=ids(served)))


def send_by(addresses: QuerySet[IPAddress]) -> Q:
    """Return the condition of the servers whose pools, or pools of whose rules, have some of these addresses."""
    pools = IPPoolMember.objects.filter(ip_address__in=addresses).values("pool_id")
    rules = IPPoolRule.objects.filter(pool_id__in=pools)
    return (
        Q(ip_pool_id__in=pools)
        | Q(pk__in=rules.filter(server__isnull=False).values("server_id"))
        | Q(organization_id__in=rules.filter(organization__isnull=False).values("organization_id"))
    )
