"""Throttles: the rules of addresses as they are applied now."""

from typing import Any

from rest_framework.request import Request

from api.greenarrow.pages import Computed, asked
from api.greenarrow.reading import many
from api.greenarrow.serializers import ThrottleSerializer
from api.greenarrow.shapes import list_row, owned_rule
from api.greenarrow.views import GreenArrowViewSet
from ippools.limits import limit_tables
from ippools.models import IPAddress
from throttling.limits import LimitRule, Source, applicable

THROTTLES = {"throttles": many(ThrottleSerializer(), most=100)}


class ThrottlesInBackoff(GreenArrowViewSet):
    """/throttles_in_backoff"""

    statistics = frozenset({"list"})
    answers = {"list": THROTTLES}

    def list(self, request: Request) -> dict[str, Any]:
        """List the throttles that have backed off: none, until something drives backoff."""
        return asked(request).answer("throttles", Computed(()))


def page_of(request: Request, address: IPAddress) -> dict[str, Any]:
    """Return a page of the rules that can apply to mail from the address, its own first."""
    rows = [
        ([int(source == Source.TEMPLATE), rule.id], _throttle(address, source, rule))
        for source, rule in applicable(*limit_tables(address))
    ]
    return asked(request).answer("throttles", Computed(rows))


def _throttle(address: IPAddress, source: Source, rule: LimitRule) -> dict[str, Any]:
    """The live state of one rule on one address. Nothing drives backoff yet, so its fields say that there is none.

    A plain dictionary: a list of computed rows, of which there are up to 500.
    """
    return {
        # An address and a rule make one throttle; both can be read from its id, which is exact in JavaScript too.
        "id": (address.pk << 32) + rule.id,
        "ip_address": list_row(address.pk, address.name),
        "throttling_rule": owned_rule(address, source, rule),
        "normal_max_messages_per_hour": rule.max_messages_per_hour,
        "normal_max_concurrent_connections": rule.max_concurrent_connections,
        "domains": list(rule.domains),
        "in_backoff": False,
        "backoff_reason": None,
        "backoff_began_at": None,
        "backoff_ends_at": None,
        "backoff_max_messages_per_hour": None,
        "backoff_max_concurrent_connections": None,
    }
