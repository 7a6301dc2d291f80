"""`report`: accepts the report of a node's agent."""

from rest_framework.request import Request

from api.bodies import MEBIBYTE
from api.nodes.views import NodeView
from nodes.reports import read_report, take_report


class NodeReport(NodeView):
    """The last report counts."""

    # Of a hundred thousand IPv6 addresses, the longest list that a report has: 4.6 million bytes.
    body_limit = 8 * MEBIBYTE

    def post(self, request: Request) -> dict[str, int | None]:
        """Keep the report, and say what is to be applied."""
        take_report(node=self.node, report=read_report(self.given("A report")), at=self.now)
        revision = self.node.revision
        return {"revision": None if revision is None else revision.number, "overlay": self.node.overlay_number}
