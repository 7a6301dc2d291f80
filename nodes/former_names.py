"""Keeps former permalinks reserved while something still means their former holder by them.

A node's policy does, whose servers log in and report events by these names, and so do roles of single sign-on: to whoever
took the name, its former holder's people would be let in.
"""

import datetime

from django.conf import settings

from core.provided_roles import rules_of
from nodes.models import Node, NodePolicy
from servers import permalinks
from servers.models import FormerPermalink


def keep_reserved(*, at: datetime.datetime) -> int:
    """Prolong the reservations of former permalinks in the policies that nodes should apply and in SLUICE_OIDC_ROLES.

    Returns how many were prolonged.
    """
    former = set(FormerPermalink.objects.held(at).values_list("permalink", flat=True))
    if not former:
        return 0
    wanted = Node.objects.filter(revision__isnull=False).values_list("pk", "revision_id")
    named = former.intersection(rule.organization for rule in rules_of(settings.SLUICE_OIDC_ROLES))
    for node, revision in wanted:
        for names in NodePolicy.objects.filter(node_id=node, revisions__revision=revision).values_list(
            "server_names", flat=True
        ):
            named |= former.intersection(name.partition("/")[0] for name in names)
    return permalinks.keep_reserved(named, at=at) if named else 0
