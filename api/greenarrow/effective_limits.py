"""Effective limits of an address for a domain, with the trace. (An extension: GreenArrow has no such endpoint.)"""

import datetime
from collections.abc import Sequence
from typing import Any

from api.greenarrow import shapes
from api.greenarrow.fields import PartlyValid
from api.greenarrow.limit_serializers import MOST_DOMAINS, AskedDomainsSerializer
from api.problems import faults_in
from core.errors import Fault, Invalid
from ippools import caps
from ippools.limits import limit_tables
from ippools.models import IPAddress
from throttling.limits import effective, trace
from throttling.models import ThrottleProgram


def answer(address: IPAddress, domains: Sequence[str], *, at: datetime.datetime) -> dict[str, Any]:
    """Return the limits at a time, the rule that wins and what was considered, for each domain in the order given."""
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


def domains_of(given: dict[str, Any], *, name: str) -> list[str]:
    """Return the domains as they are compared; refuse those that are none, all at once. `name` is what they came by."""
    texts = given.get("domains")
    if isinstance(texts, list) and len(texts) > MOST_DOMAINS:
        raise Invalid(Fault(name, f"must not be given for more than {MOST_DOMAINS} domains"))
    try:
        domains: list[str] = AskedDomainsSerializer().run_validation(given)["domains"]
    except PartlyValid as refusal:
        faults = faults_in(refusal.detail)
        raise Invalid(*(Fault(each.path.replace("domains", name, 1), each.message) for each in faults)) from None
    return domains
