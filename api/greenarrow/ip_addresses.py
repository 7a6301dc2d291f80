"""IP addresses, by the contract of GreenArrow's page."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request

from api.greenarrow import effective_limits, throttles
from api.greenarrow.fields import TEXT
from api.greenarrow.filters import IPAddressFilterSet
from api.greenarrow.limit_serializers import (
    AskedDomainsSerializer,
    DomainsInQuerySerializer,
    EffectiveLimitsSerializer,
)
from api.greenarrow.reading import many
from api.greenarrow.serializers import (
    ChangedIPAddressSerializer,
    IPAddressSerializer,
    NewIPAddressSerializer,
    RowSerializer,
)
from api.greenarrow.views import RecordViewSet, action, found
from api.problems import Code, decline
from ippools import ip_addresses
from ippools.models import IPAddress
from throttling.rule_sets import with_rules

# With all but their rules.
ADDRESSES = IPAddress.objects.select_related("redirect", "template__rules", "rules")
LIMITS_KEY = "effective_limits"
LIMITS = {
    "ip_address": RowSerializer(),
    "throttling_template": RowSerializer(),
    LIMITS_KEY: many(EffectiveLimitsSerializer()),
}
IN_QUERY = DomainsInQuerySerializer()
DOMAIN = OpenApiParameter(
    "domain",
    {"type": "array", "items": TEXT},
    required=True,
    description="A recipient's domain; repeat it, or use commas",
)


class IPAddresses(RecordViewSet):
    """/ip_addresses"""

    root, plural = "ip_address", "ip_addresses"
    lookup_url_kwarg = "address_id"
    queryset = ADDRESSES.prefetch_related(with_rules("rules__rules"))
    acts = ip_addresses
    shown = IPAddressSerializer
    new, changed = NewIPAddressSerializer, ChangedIPAddressSerializer
    filterset_class = IPAddressFilterSet
    statistics = frozenset({"throttles"})
    reading_posts = frozenset({"limits_of_many"})
    bodies = {"limits_of_many": {LIMITS_KEY: AskedDomainsSerializer()}}
    answers = {"throttles": throttles.THROTTLES, "effective_limits": LIMITS, "limits_of_many": LIMITS}

    @action(detail=True)
    def throttles(self, request: Request, address_id: int) -> dict[str, Any]:
        """List every rule that can apply to mail from the address, its own first."""
        return throttles.page_of(self.request, found(ADDRESSES, address_id))

    @extend_schema(parameters=[DOMAIN])
    @action(detail=True)
    def effective_limits(self, request: Request, address_id: int) -> dict[str, Any]:
        """Tell the limits, the rule that wins and what was considered, for each domain in the order given."""
        address = found(ADDRESSES, address_id)
        texts = [text for each in request.query_params.getlist("domain") for text in each.split(",")]
        if not texts:
            raise decline(Code.MALFORMED, "domain is required: give it once for each domain")
        return effective_limits.answer(address, **IN_QUERY.read({"domain": texts}), at=self.now)

    # Nothing in the query; without this, drf-spectacular would describe it by the schema of the GET.
    @extend_schema(parameters=[])
    @effective_limits.mapping.post
    def limits_of_many(self, request: Request, address_id: int) -> dict[str, Any]:
        """Tell the same for the domains in the body; nothing changes."""
        given = self.given()
        return effective_limits.answer(found(ADDRESSES, address_id), **given, at=self.now)
