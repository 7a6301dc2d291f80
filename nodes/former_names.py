"""Keeps former permalinks reserved while a node's policy has them: its servers log in and report events by these names."""

import datetime

from nodes.models import Node, NodePolicy
from servers import permalinks
from servers.models import FormerPermalink


def keep_reserved(*, at: datetime.datetime) -> int:
    """Prolong the reservations of former permalinks in the policies that nodes should apply; return how many."""
    former = set(FormerPermalink.objects.held(at).values_list("permalink", flat=True))
    if not former:
        return 0
    wanted = Node.objects.filter(revision__isnull=False).values_list("pk", "revision_id")
    named: set[str] = set()
    for node, revision in wanted:
        for names in NodePolicy.objects.filter(node_id=node, revisions__revision=revision).values_list(
            "server_names", flat=True
        ):
            named |= former.intersection(name.partition("/")[0] for name in names)
    return permalinks.keep_reserved(named, at=at) if named else 0
