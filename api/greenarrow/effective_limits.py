"""Which limits hold for mail from an address to a domain, and why. (Ours: GreenArrow has no such endpoint.)"""

from typing import Any

from rest_framework.request import Request

from api.greenarrow import schemas, shapes
from api.greenarrow.ip_addresses import address_with_parts
from api.greenarrow.openapi import Operation, in_query
from api.greenarrow.views import GreenArrowView
from api.problems import Code, decline
from core.attributes import Attributes, quoted
from core.errors import Fault, Invalid
from ippools.limits import limit_tables
from ippools.models import IPAddress
from throttling.domains import NotADomain, domain_name
from throttling.limits import effective, trace
from throttling.models import ThrottleProgram

ROOT = "effective_limits"
MOST_DOMAINS = 1_000


_ANSWER = {
    "ip_address": schemas.LIST_ROW,
    "throttling_template": schemas.LIST_ROW,
    "effective_limits": schemas.array(schemas.EFFECTIVE_LIMITS),
}
_IN_QUERY = in_query(
    "domain", "A recipient's domain; repeat it, or use commas", schemas.array(schemas.TEXT), is_required=True
)
_IN_BODY = schemas.given(("domains",), domains=schemas.array(schemas.TEXT, minItems=1, maxItems=MOST_DOMAINS))


class EffectiveLimitsOfAddress(GreenArrowView):
    """GET /ip_addresses/{id}/effective_limits?domain=…&domain=…, and POST for more domains than a URL holds"""

    reads_by_post = True
    operations = {
        "get": Operation(data=_ANSWER, query=(_IN_QUERY,)),
        "post": Operation(data=_ANSWER, root=ROOT, body=_IN_BODY),
    }

    def get(self, request: Request, address_id: int) -> dict[str, Any]:
        """Tell the limits, the rule that wins and what was considered, for each domain in the order given."""
        address = address_with_parts(address_id)
        texts: list[object] = [text for each in request.query_params.getlist("domain") for text in each.split(",")]
        if not texts:
            raise decline(Code.MALFORMED, "domain is required: give it once for each domain")
        return _answer(address, _domains(texts, "domain"))

    def post(self, request: Request, address_id: int) -> dict[str, Any]:
        """Tell the same for the domains in the body; nothing changes."""
        values = self.payload(ROOT)
        address = address_with_parts(address_id)
        attributes = Attributes(values)
        texts = attributes.array("domains")
        if texts == []:
            attributes.fault("domains", "must contain at least one domain name")
        attributes.refuse_if_faulty()
        return _answer(address, _domains(texts, "domains"))


def _answer(address: IPAddress, domains: list[str]) -> dict[str, Any]:
    own, template = limit_tables(address)
    found = [effective(own, template, domain) for domain in domains]
    used = {each.rule.throttle_program_id for each in found if each.rule and each.rule.throttle_program_id}
    programs = dict(ThrottleProgram.objects.filter(pk__in=used).values_list("pk", "name")) if used else {}
    return {
        "ip_address": shapes.list_row(address.pk, address.name),
        "throttling_template": shapes.list_row(address.template.pk, address.template.name),
        "effective_limits": [
            shapes.effective_limits(address, each, trace(own, template, each.domain), programs) for each in found
        ],
    }


def _domains(texts: list[object], name: str) -> list[str]:
    """Return the domains as they are compared; refuse those that are none, all at once."""
    if len(texts) > MOST_DOMAINS:
        raise Invalid(Fault(name, f"must not be given for more than {MOST_DOMAINS} domains"))
    domains, faults = [], []
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            faults.append(Fault(f"{name}[{index}]", "must be a string"))
            continue
        try:
            domains.append(domain_name(text))
        except NotADomain:
            faults.append(Fault(f"{name}[{index}]", f"{quoted(text)} is not a valid domain name"))
    if faults:
        raise Invalid(*faults)
    return domains
