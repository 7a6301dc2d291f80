"""`report`: accepts the report of a node's agent."""

from collections.abc import Mapping

from rest_framework.request import Request

from api.bodies import parse_json
from api.nodes.views import NodeView
from api.problems import Code, decline
from nodes.reports import read_report, take_report


class NodeReport(NodeView):
    """The last report counts."""

    def post(self, request: Request) -> dict[str, int | None]:
        """Keep the report, and say what is to be applied."""
        given = parse_json(self.body())
        if not isinstance(given, Mapping):
            raise decline(Code.MALFORMED, "A report is a JSON object")
        take_report(node=self.node, report=read_report(given), at=self.now)
        revision = self.node.revision
        return {"revision": None if revision is None else revision.number, "overlay": self.node.overlay_number}
