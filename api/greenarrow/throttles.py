"""Throttles: the rules of addresses with their current limits."""

import datetime
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from django.db.models import QuerySet
from rest_framework.request import Request

from api.greenarrow.pagination import Computed, page_request
from api.greenarrow.serializers import ThrottleSerializer, page
from api.greenarrow.shapes import list_row, owned_rule, timestamp
from api.greenarrow.views import GreenArrowViewSet
from api.requests import DialectRequest
from ippools.caps import value_of
from ippools.limits import limit_tables
from ippools.models import AddressCap, IPAddress
from throttling.limits import CapKind, LimitRule, Source, applicable
from throttling.models import RuleDomain

THROTTLES = page("throttles", ThrottleSerializer())


class ThrottlesInBackoff(GreenArrowViewSet):
    """/throttles_in_backoff"""

    statistics = frozenset({"list"})
    answers = {"list": THROTTLES}

    def list(self, request: Request) -> dict[str, Any]:
        """List the throttles whose rate a program has reduced, by address and rule."""
        reduced = _reduced(self.now).select_related("rule", "address__template")
        caps = list(reduced.order_by("address_id", "rule_id"))
        domains: defaultdict[int | None, list[str]] = defaultdict(list)
        rows = RuleDomain.objects.filter(rule_id__in={cap.rule_id for cap in caps}).order_by("rule_id", "position")
        for rule_id, pattern in rows.values_list("rule_id", "pattern"):
            domains[rule_id].append(pattern)
        return page_request(request).answer(
            "throttles",
            Computed(
                [([cap.address_id, cap.rule_id or 0], _throttle_of(cap, tuple(domains[cap.rule_id]))) for cap in caps]
            ),
        )


def page_of(request: DialectRequest, address: IPAddress) -> dict[str, Any]:
    """Return a page of the rules that can apply to mail from the address, its own first."""
    caps = {cap.rule_id or 0: cap for cap in _reduced(request.now).filter(address=address)}
    rows = [
        ([int(source == Source.TEMPLATE), rule.id], _throttle(address, source, rule, caps))
        for source, rule in applicable(limit_tables(address))
    ]
    return page_request(request).answer("throttles", Computed(rows))


def _reduced(at: datetime.datetime) -> QuerySet[AddressCap]:
    """Return the caps by which programs reduce throttles at a time."""
    return AddressCap.objects.active(at).filter(kind=CapKind.THROTTLE_PROGRAM.value, rule__isnull=False)


def _throttle_of(cap: AddressCap, domains: tuple[str, ...]) -> dict[str, Any]:
    rule = cap.rule
    assert rule is not None
    source = Source.ADDRESS if rule.rule_set_id == cap.address.rules_id else Source.TEMPLATE
    limits = LimitRule(rule.pk, domains, rule.max_concurrent_connections, rule.max_messages_per_hour)
    return _throttle(cap.address, source, limits, {rule.pk: cap})


def _throttle(address: IPAddress, source: Source, rule: LimitRule, caps: Mapping[int, AddressCap]) -> dict[str, Any]:
    """The live state of one rule on one address; `caps` are those of throttle programs, by rule.

    A plain dictionary: a list of computed rows, of which there are up to 500.
    """
    cap = caps.get(rule.id)
    messages, connections = rule.max_messages_per_hour, rule.max_concurrent_connections
    # A percentage is of the rule's limits as they are now.
    bounds = value_of(cap).of(messages, connections) if cap else None
    return {
        # An address and a rule make one throttle; both can be read from its id, which is exact in JavaScript too.
        "id": (address.pk << 32) + rule.id,
        "ip_address": list_row(address.pk, address.name),
        "throttling_rule": owned_rule(address, source, rule),
        "normal_max_messages_per_hour": messages,
        "normal_max_concurrent_connections": connections,
        "domains": list(rule.domains),
        "in_backoff": cap is not None,
        "backoff_reason": None if cap is None else CapKind.THROTTLE_PROGRAM.value,
        "backoff_began_at": None if cap is None else timestamp(cap.began_at),
        "backoff_ends_at": None if cap is None else timestamp(cap.until),
        # A number that the program does not bound is the rule's own.
        "backoff_max_messages_per_hour": bounds and (bounds.max_messages_per_hour or messages),
        "backoff_max_concurrent_connections": bounds and (bounds.max_concurrent_connections or connections),
    }
