"""The rules of an address or a template: both have the same three endpoints."""

from typing import Any, ClassVar

from django.db.models import Model
from rest_framework.request import Request

from api.greenarrow.serializers import NewRuleSerializer, RuleSerializer
from api.greenarrow.views import GreenArrowViewSet
from core.errors import NotFound
from ippools.models import IPAddress
from throttling import rules
from throttling.models import ThrottlingTemplate


class RulesOfOwner(GreenArrowViewSet):
    """…/{owner_id}/throttling_rules"""

    root = "throttling_rule"
    lookup_url_kwarg, lookup_value_converter = "rule_id", "record_id"
    owners: ClassVar[type[Model]]
    noun: ClassVar[str]
    bodies = {"create": NewRuleSerializer(), "update": NewRuleSerializer(partial=True)}
    answers = {
        "create": {root: RuleSerializer()},
        "update": {root: RuleSerializer()},
        "destroy": {},
    }

    def owner(self, owner_id: int) -> Any:
        """Return the owner with its rule set; raises NotFound."""
        owner = self.owners._default_manager.select_related("rules").filter(pk=owner_id).first()
        if owner is None:
            raise NotFound(f"The {self.noun} could not be found")
        return owner

    def create(self, request: Request, owner_id: int) -> dict[str, Any]:
        """Add a rule."""
        given = self.given(NewRuleSerializer())
        return {self.root: RuleSerializer(rules.create(self.owner(owner_id), actor=self.actor, **given)).data}

    def update(self, request: Request, owner_id: int, rule_id: int) -> dict[str, Any]:
        """Change what is given. The answer has the rule, as in the page's example (its text says otherwise)."""
        given = self.given(NewRuleSerializer(partial=True))
        return {self.root: RuleSerializer(rules.change(self.owner(owner_id), rule_id, actor=self.actor, **given)).data}

    def destroy(self, request: Request, owner_id: int, rule_id: int) -> dict[str, Any]:
        """Delete the rule."""
        rules.delete(self.owner(owner_id), rule_id, actor=self.actor)
        return {}


class AddressRules(RulesOfOwner):
    """/ip_addresses/{owner_id}/throttling_rules"""

    owners, noun = IPAddress, "IP address"


class TemplateRules(RulesOfOwner):
    """/throttling_templates/{owner_id}/throttling_rules"""

    owners, noun = ThrottlingTemplate, "throttling template"
