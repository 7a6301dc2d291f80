"""Throttles: the rules of addresses as they are applied now."""

from typing import Any

from rest_framework.request import Request

from api.greenarrow import schemas, shapes
from api.greenarrow.ip_addresses import address_with_parts
from api.greenarrow.openapi import listing
from api.greenarrow.pages import Computed, asked
from api.greenarrow.views import GreenArrowView
from ippools.limits import limit_tables
from throttling.limits import Source, applicable


class Throttles(GreenArrowView):
    """GET /ip_addresses/{id}/throttles"""

    operations = {"get": listing("throttles", schemas.THROTTLE)}

    is_statistics = True

    def get(self, request: Request, address_id: int) -> dict[str, Any]:
        """List every rule that can apply to mail from the address, its own first."""
        address = address_with_parts(address_id)
        own, template = limit_tables(address)
        rows = [
            ([int(source == Source.TEMPLATE), rule.id], shapes.throttle(address, source, rule))
            for source, rule in applicable(own, template)
        ]
        return asked(request).answer("throttles", Computed(rows))


class ThrottlesInBackoff(GreenArrowView):
    """GET /throttles_in_backoff"""

    operations = {"get": listing("throttles", schemas.THROTTLE)}

    is_statistics = True

    def get(self, request: Request) -> dict[str, Any]:
        """List the throttles that have backed off: none, until something drives backoff."""
        return asked(request).answer("throttles", Computed(()))
