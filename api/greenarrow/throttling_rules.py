"""The rules of an address or a template: both have the same three endpoints."""

from typing import Any, ClassVar

from django.db.models import Model
from rest_framework.request import Request

from api.greenarrow.serializers import NewRuleSerializer, RuleSerializer
from api.greenarrow.views import GreenArrowViewSet, found
from ippools.models import IPAddress
from throttling import rules
from throttling.models import ThrottlingTemplate


class RulesOfOwner(GreenArrowViewSet):
    """…/{owner_id}/throttling_rules"""

    root = "throttling_rule"
    lookup_url_kwarg, lookup_value_converter = "rule_id", "record_id"
    owners: ClassVar[type[Model]]
    bodies = {"create": {root: NewRuleSerializer()}, "update": {root: NewRuleSerializer(partial=True)}}
    answers = {"create": {root: RuleSerializer()}, "update": {root: RuleSerializer()}, "destroy": {}}

    def owner(self, owner_id: int) -> Any:
        """Return the owner, whose rule set the act will read and lock; raises NotFound."""
        return found(self.owners._default_manager.all(), owner_id)

    def create(self, request: Request, owner_id: int) -> dict[str, Any]:
        """Add a rule."""
        given = self.given()
        return self.enveloped(rules.create(self.owner(owner_id), actor=self.actor, **given))

    def update(self, request: Request, owner_id: int, rule_id: int) -> dict[str, Any]:
        """Change what is given. The answer has the rule, as in the page's example (its text says otherwise)."""
        given = self.given()
        return self.enveloped(rules.change(self.owner(owner_id), rule_id, actor=self.actor, **given))

    def destroy(self, request: Request, owner_id: int, rule_id: int) -> dict[str, Any]:
        """Delete the rule."""
        rules.delete(self.owner(owner_id), rule_id, actor=self.actor)
        return {}


class AddressRules(RulesOfOwner):
    """/ip_addresses/{owner_id}/throttling_rules"""

    owners = IPAddress


class TemplateRules(RulesOfOwner):
    """/throttling_templates/{owner_id}/throttling_rules"""

    owners = ThrottlingTemplate
