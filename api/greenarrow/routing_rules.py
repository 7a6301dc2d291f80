"""Routing rules."""

from typing import Any

from rest_framework.request import Request

from api.greenarrow import schemas, shapes
from api.greenarrow.openapi import Operation, listing
from api.greenarrow.pages import Rows, asked
from api.greenarrow.views import GreenArrowView
from core.errors import NotFound
from ippools import routing_rules
from ippools.models import RoutingRule

ROOT = "routing_rule"


class RoutingRules(GreenArrowView):
    """GET and POST /routing_rules"""

    operations = {
        "get": listing("routing_rules", schemas.LIST_ROW),
        "post": Operation(data={ROOT: schemas.ROUTING_RULE}, root=ROOT, body=schemas.ROUTING_RULE_NEW),
    }

    def get(self, request: Request) -> dict[str, Any]:
        """List ids and names."""
        return asked(request).answer("routing_rules", Rows(RoutingRule.objects.all(), shapes.list_row))

    def post(self, request: Request) -> dict[str, Any]:
        """Make a routing rule."""
        return {ROOT: shapes.routing_rule(routing_rules.create(self.payload(ROOT), actor=self.actor))}


class SingleRoutingRule(GreenArrowView):
    """GET, PUT and DELETE /routing_rules/{id}"""

    operations = {
        "get": Operation(data={ROOT: schemas.ROUTING_RULE}),
        "put": Operation(data={ROOT: schemas.ROUTING_RULE}, root=ROOT, body=schemas.ROUTING_RULE_CHANGE),
        "delete": Operation(data={}),
    }

    def get(self, request: Request, rule_id: int) -> dict[str, Any]:
        """Show a routing rule."""
        rule = RoutingRule.objects.filter(pk=rule_id).first()
        if rule is None:
            raise NotFound("The routing rule could not be found")
        return {ROOT: shapes.routing_rule(rule)}

    def put(self, request: Request, rule_id: int) -> dict[str, Any]:
        """Change what is given; `domain_overrides` is the whole list."""
        return {ROOT: shapes.routing_rule(routing_rules.update(rule_id, self.payload(ROOT), actor=self.actor))}

    def delete(self, request: Request, rule_id: int) -> dict[str, Any]:
        """Delete a routing rule that nothing refers to."""
        routing_rules.delete(rule_id, actor=self.actor)
        return {}
