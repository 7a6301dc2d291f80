"""Routing rules."""

from django.db.models import Prefetch, QuerySet

from api.greenarrow.serializers import NewRoutingRuleSerializer, RoutingRuleSerializer
from api.greenarrow.views import RecordViewSet
from ippools import routing_rules
from ippools.models import DeliveryTarget, RoutingRule


class RoutingRules(RecordViewSet):
    """/routing_rules"""

    root, plural, noun = "routing_rule", "routing_rules", "routing rule"
    lookup_url_kwarg = "rule_id"
    model = RoutingRule
    acts = routing_rules
    shown = RoutingRuleSerializer
    new = changed = NewRoutingRuleSerializer

    def records(self) -> QuerySet[RoutingRule]:
        """Return the rules with their targets and overrides: five queries, however many there are."""
        targets = DeliveryTarget.objects.select_related("virtual_mta").order_by("pk")
        return RoutingRule.objects.prefetch_related(
            Prefetch("targets", queryset=targets.filter(override=None), to_attr="default_targets"),
            Prefetch("domain_overrides__targets", queryset=targets),
            "domain_overrides__domains",
        )

    def answered(self, record: RoutingRule) -> RoutingRule:
        """Read it again: an act writes its parts as rows of their own."""
        return self.record(record.pk)
