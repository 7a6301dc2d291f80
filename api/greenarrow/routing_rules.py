"""Routing rules."""

from django.db.models import Prefetch

from api.greenarrow.serializers import NewRoutingRuleSerializer, RoutingRuleSerializer
from api.greenarrow.views import RecordViewSet
from ippools import routing_rules
from ippools.models import DeliveryTarget, RoutingRule

TARGETS = DeliveryTarget.objects.select_related("virtual_mta").order_by("pk")


class RoutingRules(RecordViewSet):
    """/routing_rules"""

    root, plural = "routing_rule", "routing_rules"
    lookup_url_kwarg = "rule_id"
    # Five queries, however many there are.
    queryset = RoutingRule.objects.prefetch_related(
        Prefetch("targets", queryset=TARGETS.filter(override=None), to_attr="default_targets"),
        Prefetch("domain_overrides__targets", queryset=TARGETS),
        "domain_overrides__domains",
    )
    acts = routing_rules
    shown = RoutingRuleSerializer
    new = changed = NewRoutingRuleSerializer

    def answered(self, record: RoutingRule) -> RoutingRule:
        """Read it again: an act writes its parts as rows of their own."""
        return self.record(record.pk)
