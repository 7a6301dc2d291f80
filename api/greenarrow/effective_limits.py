"""Effective limits of an address for a domain, with the trace. (An extension: GreenArrow has no such endpoint.)"""

import datetime
from collections.abc import Sequence
from typing import Any

from api.greenarrow import shapes
from core.errors import Faults
from ippools import caps
from ippools.limits import limit_tables
from ippools.models import IPAddress
from throttling.limits import effective, trace
from throttling.models import ThrottleProgram


def answer(address: IPAddress, *, faults: Faults, at: datetime.datetime, domains: Sequence[str] = ()) -> dict[str, Any]:
    """Return the limits at a time, the rule that wins and what was considered, for each domain in the order given.

    Raises the faults of what was given, if there are any.
    """
    faults.refuse()
    layers = limit_tables(address)
    bounds = caps.of_addresses([address.pk], at=at).get(address.pk, [])
    found = [effective(layers, bounds, domain, at) for domain in domains]
    used = {each.rule.throttle_program_id for each in found if each.rule and each.rule.throttle_program_id}
    programs = dict(ThrottleProgram.objects.filter(pk__in=used).values_list("pk", "name")) if used else {}
    return {
        "ip_address": shapes.list_row(address.pk, address.name),
        "throttling_template": shapes.list_row(address.template.pk, address.template.name),
        "effective_limits": [
            shapes.effective_limits(address, each, trace(layers, each.domain), programs) for each in found
        ],
    }
