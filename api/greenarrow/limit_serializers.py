"""Serializers of effective limits: request and response."""

from api.greenarrow.fields import Choice, DomainList, Id, Limit, Text
from api.greenarrow.reading import Record, many
from api.greenarrow.serializers import SIDES, OwnedRuleSerializer, RowSerializer
from throttling.limits import CapKind

CAPS = tuple(kind.value for kind in CapKind)
MOST_DOMAINS = 1_000


class WinningRuleSerializer(OwnedRuleSerializer):
    domain = Text()


class DeciderSerializer(Record):
    """Where each number comes from."""

    max_concurrent_connections = Choice(*SIDES, *CAPS)
    max_messages_per_hour = Choice(*SIDES, *CAPS)


class RuleIdSerializer(Record):
    id = Id()


class StepSerializer(Record):
    """A pattern that was looked for and the rule that has it or, at the end, a cap that lowers a number."""

    type = Choice(*SIDES, "cap")
    domain = Text(required=False)
    throttling_rule = RuleIdSerializer(allow_null=True, required=False)
    cap = Choice(*CAPS, required=False)
    max_messages_per_hour = Limit(allow_null=True, required=False)
    until = Text(allow_null=True, required=False)


class EffectiveLimitsSerializer(Record):
    domain = Text()
    max_concurrent_connections = Limit()
    max_messages_per_hour = Limit()
    throttle_program = RowSerializer(allow_null=True)
    throttling_rule = WinningRuleSerializer(allow_null=True)
    decided_by = DeciderSerializer()
    trace = many(StepSerializer())


class AskedDomainsSerializer(Record):
    domains = DomainList(max_length=MOST_DOMAINS)


class DomainsInQuerySerializer(Record):
    domain = DomainList(source="domains", max_length=MOST_DOMAINS)
