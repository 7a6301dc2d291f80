"""`suppressions`: what changed in the suppression lists of the organizations whose mail a node sends."""

from collections.abc import Mapping
from typing import Any

from rest_framework.request import Request

from api.bodies import parse_json
from api.nodes.views import NodeView
from api.problems import Code, Declined, Problem, decline
from nodes.document import NoRevision
from nodes.suppressions import changes_for, read_known


class NodeSuppressions(NodeView):
    """The difference from what the node has; all of a list that it has nothing of, some parts after each other."""

    def post(self, request: Request) -> dict[str, Any]:
        """Answer what the node lacks."""
        given = parse_json(self.body())
        if not isinstance(given, Mapping):
            raise decline(Code.MALFORMED, "What a node has is a JSON object")
        servers = given.get("servers_digest")
        if servers is not None and not isinstance(servers, str):
            raise decline(Code.INVALID, "servers_digest must be a string")
        try:
            return changes_for(self.node, read_known(given.get("have", {})), servers or "", at=self.now)
        except NoRevision as refusal:
            raise Declined(Problem("no_revision", (refusal.message,), 404)) from None
