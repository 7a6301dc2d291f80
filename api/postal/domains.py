"""`domains/…`: the domains of the key's server."""

from typing import Any

from django.db.models import F, QuerySet
from django_filters import rest_framework as filters

from api.postal import schemas, shapes
from api.postal.parameters import Choice, Flag, Identifier, Names, Text, Whole
from api.postal.problems import (
    DOMAIN_FAULTS,
    INVALID_DOMAIN,
    INVALID_DOMAIN_ID,
    NO_DOMAIN_GIVEN,
    VERIFICATION_FAILED,
    fault,
    refuse,
)
from api.postal.views import ChangeView, DeleteView, ReadView
from core.errors import NotFound
from dnschecks.sweep import BeingChecked
from servers.access import Caller
from servers.dns_records import expected_of, records_of
from servers.domains import (
    ProvenElsewhere,
    create_domain,
    delete_domain,
    find_domain,
    verification_string,
    verify_domain,
)
from servers.models import Domain, Server
from stats.reports import queries
from throttling.domains import NotADomain, domain_name

PER_PAGE, MOST_PER_PAGE = 30, 100
ORDERS = ("name", "created_at", "verified_at")


class DomainFilter(filters.FilterSet):
    """What `domains/list` can be narrowed by."""

    verified = filters.BooleanFilter(field_name="verified_at", lookup_expr="isnull", exclude=True)
    search = filters.CharFilter(method="containing")

    class Meta:
        model = Domain
        fields = ()

    def containing(self, domains: QuerySet[Domain], _: str, text: str) -> QuerySet[Domain]:
        """Domains whose name contains the text; names are stored as lower-case A-labels."""
        if not text.isascii():
            try:
                text = domain_name(text)
            except NotADomain:
                return domains.none()
        return domains.filter(name__contains=text.lower())


class ListDomains(ReadView):
    """The domains of the key's server, a page at a time."""

    parameters = (
        Whole("page", "Which page, from 1", default=1, least=1),
        Whole(
            "per_page", "Domains a page, at most 100", default=PER_PAGE, least=1, most=MOST_PER_PAGE,
            wrong=f"per_page must be from 1 to {MOST_PER_PAGE}",
        ),
        Flag("verified", "Only domains that are verified, or only those that are not"),
        Text("search", "Only domains whose name contains this"),
        Choice("order_by", "What to order by", choices=ORDERS, default="name"),
        Choice("order_direction", "Which way", choices=("ASC", "DESC"), default="ASC"),
        Flag("include_stats", "Also answer with the messages sent from each domain", default=False),
    )  # fmt: skip
    tag = "Postal: domains"
    data = schemas.DOMAINS
    examples = ("domains-list",)

    def answer(self, caller: Caller, given: dict[str, Any]) -> object:
        domains = Domain.objects.filter(server_id=caller.server_id)
        domains = DomainFilter({name: given[name] for name in ("verified", "search")}, queryset=domains).qs
        total, per_page = domains.count(), given["per_page"]
        start = (given["page"] - 1) * per_page
        # Past the end, however far: no question to the database, whose offsets end at 64 bits.
        rows = self._rows(domains, given)[start : start + per_page] if start < total else []
        names = [row[1] for row in rows]
        sent = queries.domain_sent(caller.server_id, names, self.now) if given["include_stats"] else {}
        return {
            "domains": [shapes.listed_domain(row, sent.get(row[1])) for row in rows],
            "pagination": {
                "current_page": given["page"],
                "per_page": per_page,
                "total_pages": -(-total // per_page),
                "total_count": total,
            },
        }

    @staticmethod
    def _rows(domains: QuerySet[Domain], given: dict[str, Any]) -> Any:
        column = F(given["order_by"])
        # The two databases put nulls at different ends.
        order = column.asc(nulls_last=True) if given["order_direction"] == "ASC" else column.desc(nulls_last=True)
        return domains.order_by(order, "pk").values_list(*shapes.LISTED_DOMAIN_COLUMNS)


NAME = Text("name", "The domain's name", required=True, example="example.com")


class CreateDomain(ChangeView):
    """Add a domain to the key's server; one that is there is answered as it is.

    It is not verified by being created: the TXT record proves it.
    """

    parameters = (
        NAME,
        Names("custom_mx_records", "Hosts that receive its mail instead of the platform's", default=()),
        Text("dmarc_record", "The owner's own DMARC record", default=""),
    )
    tag = "Postal: domains"
    data = schemas.CREATED_DOMAIN
    examples = ("domains-create",)
    errors = (*DOMAIN_FAULTS, (VERIFICATION_FAILED[0], "example.com has been verified by another organization. …"))
    error_data = {"name": schemas.TEXT, "dns_verification_string": schemas.TEXT}

    def answer(self, caller: Caller, given: dict[str, Any]) -> object:
        server = Server.objects.living().select_related("organization").filter(pk=caller.server_id).first()
        if server is None:
            raise NotFound("The server could not be found")
        try:
            domain = create_domain(
                server=server,
                name=given["name"],
                custom_mx_records=given["custom_mx_records"],
                dmarc_record=given["dmarc_record"],
                actor=caller.actor,
            ).domain
        except ProvenElsewhere as refusal:
            proof = {"name": refusal.name, "dns_verification_string": refusal.verification_string}
            raise refuse((VERIFICATION_FAILED[0], refusal.message), proof) from None
        shape = {
            "uuid": str(domain.uuid),
            "name": domain.name,
            "verification_method": "DNS",
            "verified": domain.is_verified,
            "verification_token": domain.verification_token,
            "dns_verification_string": verification_string(domain),
            "created_at": shapes.timestamp(domain.created_at),
            "updated_at": shapes.timestamp(domain.updated_at),
        }
        return {"domain": shape, "dns_records": shapes.dns_records(records_of(expected_of(domain)))}


class DeleteDomain(DeleteView):
    """Delete a domain of the key's server; the counts of its mail stay."""

    parameters = (NAME,)
    tag = "Postal: domains"
    data = schemas.DELETED_DOMAIN
    examples = ("domains-delete",)
    errors = (INVALID_DOMAIN,)
    error_data = {"name": schemas.TEXT}

    def answer(self, caller: Caller, given: dict[str, Any]) -> object:
        domain = _named(caller, given["name"])
        try:
            delete_domain(domain=domain, actor=caller.actor)
        except NotFound:
            # Somebody else deleted it meanwhile.
            raise refuse(INVALID_DOMAIN, {"name": given["name"]}) from None
        return {"deleted": True, "domain": {"uuid": str(domain.uuid), "name": domain.name}}


class VerifyDomain(ChangeView):
    """Look at the domain's records in DNS now."""

    parameters = (NAME,)
    tag = "Postal: domains"
    data = schemas.VERIFIED_DOMAIN
    examples = ("domains-verify",)
    errors = (INVALID_DOMAIN, VERIFICATION_FAILED, ("Conflict", BeingChecked.default_message))
    error_data = {
        "name": schemas.TEXT,
        "dns_verification_string": schemas.TEXT,
        "dns_checks": schemas.DNS_CHECKS,
    }

    def answer(self, caller: Caller, given: dict[str, Any]) -> object:
        domain = verify_domain(domain=_named(caller, given["name"]), actor=caller.actor)
        checks = shapes.dns_checks(domain)
        if not domain.is_verified:
            proof = {"dns_verification_string": verification_string(domain), "dns_checks": checks}
            raise refuse(VERIFICATION_FAILED, proof)
        return {
            "domain": {
                "uuid": str(domain.uuid),
                "name": domain.name,
                "verified": True,
                "verified_at": shapes.timestamp(domain.verified_at),
                "dns_checks": checks,
            }
        }


class ShowDNSRecords(ReadView):
    """The records that a domain of the key's server must have in DNS, and what the last look found."""

    parameters = (
        Identifier("domain_id", "The domain's UUID; it counts before the name"),
        Text("domain_name", "The domain's name", example="example.com"),
    )
    tag = "Postal: domains"
    data = schemas.DOMAIN_WITH_RECORDS
    examples = ("domains-dns-records",)
    errors = (INVALID_DOMAIN, INVALID_DOMAIN_ID)
    error_data = {"name": schemas.TEXT, "domain_id": schemas.TEXT}
    faults = (NO_DOMAIN_GIVEN,)

    def answer(self, caller: Caller, given: dict[str, Any]) -> object:
        if given["domain_id"] is not None:
            domain = Domain.objects.filter(server_id=caller.server_id, uuid=given["domain_id"]).first()
            if domain is None:
                raise refuse(INVALID_DOMAIN_ID)
        elif given["domain_name"] is not None:
            domain = _named(caller, given["domain_name"])
        else:
            raise fault(NO_DOMAIN_GIVEN)
        shape = {
            "uuid": str(domain.uuid),
            "name": domain.name,
            "verified": domain.is_verified,
            "dns_checks": shapes.dns_checks(domain),
        }
        return {"domain": shape, "dns_records": shapes.dns_records(records_of(expected_of(domain)))}


def _named(caller: Caller, name: str) -> Domain:
    """Return the domain of the key's server; declines in the page's words."""
    try:
        return find_domain(Server(pk=caller.server_id), name)
    except NotFound:
        raise refuse(INVALID_DOMAIN, {"name": name}) from None
