"""`suppressions`: what changed in the suppression lists of the organizations whose mail a node sends."""

from typing import Any

from rest_framework.request import Request

from api.nodes.views import NodeView
from api.problems import Code, decline
from nodes.suppressions import changes_for, read_known


class NodeSuppressions(NodeView):
    """The difference from what the node has; all of a list that it has nothing of, some parts after each other."""

    def post(self, request: Request) -> dict[str, Any]:
        """Answer what the node lacks."""
        given = self.given("What a node has")
        servers = given.get("servers_digest")
        if servers is not None and not isinstance(servers, str):
            raise decline(Code.INVALID, "servers_digest must be a string")
        return changes_for(self.node, read_known(given.get("have", {})), servers or "", at=self.now)
