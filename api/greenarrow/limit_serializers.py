"""Serializers of effective limits: request and response."""

from typing import Any

from rest_framework.fields import empty
from rest_framework.serializers import ValidationError

from api.greenarrow.fields import Choice, DomainList, Id, Limit, Text
from api.greenarrow.reading import Record, many
from api.greenarrow.serializers import SIDES, OwnedRuleSerializer, RowSerializer
from throttling.limits import CapKind

CAPS = tuple(kind.value for kind in CapKind)
MOST_DOMAINS = 1_000
# Of all domains of a request: each is looked for by two patterns, which the answer names. Of a domain there can be 127.
MOST_LABELS = 10_000


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


class AskedDomains(DomainList):
    """As many domains as are answered at once."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=MOST_DOMAINS, **kwargs)

    def run_validation(self, data: Any = empty) -> list[Any]:
        domains = super().run_validation(data)
        if sum(domain.count(".") + 1 for domain in domains) > MOST_LABELS:
            raise ValidationError(f"must not have more than {MOST_LABELS:,} labels in all")
        return domains


class AskedDomainsSerializer(Record):
    domains = AskedDomains()


class DomainsInQuerySerializer(Record):
    domain = AskedDomains(source="domains")
