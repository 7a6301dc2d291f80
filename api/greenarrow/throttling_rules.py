"""The rules of an address or a template: both have the same three endpoints."""

from abc import abstractmethod
from typing import Any

from django.db.models import Model
from rest_framework.request import Request

from api.greenarrow import schemas, shapes
from api.greenarrow.openapi import Operation
from api.greenarrow.views import GreenArrowView
from core.errors import NotFound
from ippools.models import IPAddress
from throttling import rules
from throttling.models import ThrottlingTemplate

ROOT = "throttling_rule"


class RulesOfOwner(GreenArrowView):
    """What the endpoints below share: the rules' owner, by the id in the URL."""

    @abstractmethod
    def owner(self, owner_id: int) -> Model:
        """Return the address or template; raises NotFound."""


class CreateRule(RulesOfOwner):
    """POST …/{id}/throttling_rules"""

    operations = {
        "post": Operation(data={ROOT: schemas.THROTTLING_RULE}, root=ROOT, body=schemas.THROTTLING_RULE_NEW),
    }

    def post(self, request: Request, owner_id: int) -> dict[str, Any]:
        """Add a rule."""
        values = self.payload(ROOT)
        return {ROOT: shapes.throttling_rule(rules.create(self.owner(owner_id), values, actor=self.actor))}


class ChangeRule(RulesOfOwner):
    """PUT and DELETE …/{id}/throttling_rules/{rule_id}"""

    operations = {
        "put": Operation(data={ROOT: schemas.THROTTLING_RULE}, root=ROOT, body=schemas.THROTTLING_RULE_CHANGE),
        "delete": Operation(data={}),
    }

    def put(self, request: Request, owner_id: int, rule_id: int) -> dict[str, Any]:
        """Change what is given. The answer has the rule, as in the page's example (its text says otherwise)."""
        values = self.payload(ROOT)
        return {ROOT: shapes.throttling_rule(rules.update(self.owner(owner_id), rule_id, values, actor=self.actor))}

    def delete(self, request: Request, owner_id: int, rule_id: int) -> dict[str, Any]:
        """Take the rule away."""
        rules.delete(self.owner(owner_id), rule_id, actor=self.actor)
        return {}


class OfAddress(RulesOfOwner):
    """Mixed into the endpoints of addresses."""

    def owner(self, owner_id: int) -> IPAddress:
        """Return the address."""
        address = IPAddress.objects.filter(pk=owner_id).first()
        if address is None:
            raise NotFound("The IP address could not be found")
        return address


class OfTemplate(RulesOfOwner):
    """Mixed into the endpoints of templates."""

    def owner(self, owner_id: int) -> ThrottlingTemplate:
        """Return the template."""
        template = ThrottlingTemplate.objects.filter(pk=owner_id).first()
        if template is None:
            raise NotFound("The throttling template could not be found")
        return template


class AddressRules(OfAddress, CreateRule):
    """POST /ip_addresses/{id}/throttling_rules"""


class AddressRule(OfAddress, ChangeRule):
    """PUT and DELETE /ip_addresses/{id}/throttling_rules/{rule_id}"""


class TemplateRules(OfTemplate, CreateRule):
    """POST /throttling_templates/{id}/throttling_rules"""


class TemplateRule(OfTemplate, ChangeRule):
    """PUT and DELETE /throttling_templates/{id}/throttling_rules/{rule_id}"""
