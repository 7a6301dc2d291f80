"""`domains/…`: the domains of the key's server."""

import datetime
from collections.abc import Iterable
from typing import Any

from django.db.models import F, QuerySet

from api.postal import parameters, serializers
from api.postal.filters import DomainFilter
from api.postal.problems import (
    DOMAIN_FAULTS,
    INVALID_DOMAIN,
    INVALID_DOMAIN_ID,
    OVER_QUOTA_OF,
    VERIFICATION_FAILED,
    refuse,
)
from api.postal.views import Given, PostalViewSet, changes, deletes, one_of, page_of, reads
from core.errors import NotFound
from dnschecks.sweep import CheckInProgress
from servers.access import Caller
from servers.dns_wanted import records_wanted
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


class DomainViewSet(PostalViewSet):
    """Domains of the key's server."""

    tag = "Postal: domains"

    @reads(
        "list",
        answers={"domains": serializers.ListedDomain(many=True), "pagination": serializers.Pagination()},
        takes=parameters.ListDomains,
    )
    def list(self, caller: Caller, given: Given) -> object:
        """The domains of the key's server, a page at a time."""
        domains: Any = Domain.objects.filter(server_id=caller.server_id)
        domains = DomainFilter({name: given[name] for name in ("verified", "search")}, queryset=domains).qs
        rows, pagination = page_of(_ordered(domains, given), given)
        if given["include_stats"]:
            rows = with_sent(rows, caller.server_id, self.now)
        return {"domains": rows, "pagination": pagination}

    @changes(
        "create",
        answers={"domain": serializers.NewDomain(), "dns_records": serializers.Record(many=True)},
        takes=parameters.CreateDomain,

        errors=(
            *DOMAIN_FAULTS,
            OVER_QUOTA_OF["domains"],
            (VERIFICATION_FAILED[0], "example.com has been verified by another organization. …"),
        ),
        error_data=serializers.ClaimedDomain,
    )  # fmt: skip
    def create(self, caller: Caller, given: Given) -> object:
        """Add a domain to the key's server; one that is there is answered as it is.

        It is not verified by being created: the TXT record proves it.
        """
        server = Server.objects.living().select_related("organization").filter(pk=caller.server_id).first()
        if server is None:
            raise NotFound("The server could not be found")
        try:
            domain = create_domain(
                server=server,
                name=given["name"],
                custom_mx_records=given["custom_mx_records"],
                dmarc_record=given["dmarc_record"],
                at=self.now,
                actor=caller.actor,
            ).domain
        except ProvenElsewhere as refusal:
            proof = {"name": refusal.name, "dns_verification_string": refusal.verification_string}
            raise refuse((VERIFICATION_FAILED[0], refusal.message), proof) from None
        return {"domain": domain, "dns_records": records_wanted(domain)}

    # Not called `delete`: a viewset's methods of that name answer DELETE on every URL.
    @deletes(
        "delete|delete/<str:name>",
        answers={**serializers.DELETED, "domain": serializers.Named()},
        takes=parameters.DomainName, errors=(INVALID_DOMAIN,), error_data=serializers.UnknownDomain,
    )  # fmt: skip
    def destroy(self, caller: Caller, given: Given) -> object:
        """Delete a domain of the key's server; the counts of its mail stay."""
        domain = _named(caller, given["name"])
        try:
            delete_domain(domain=domain, at=self.now, actor=caller.actor)
        except NotFound:
            # Somebody else deleted it meanwhile.
            raise refuse(INVALID_DOMAIN, {"name": given["name"]}) from None
        return {"deleted": True, "domain": domain}

    @changes(
        "verify",
        answers={"domain": serializers.VerifiedDomain()},
        takes=parameters.DomainName,
        errors=(INVALID_DOMAIN, VERIFICATION_FAILED, ("Conflict", CheckInProgress.default_message)),
        error_data=serializers.UnverifiedDomain,
    )  # fmt: skip
    def verify(self, caller: Caller, given: Given) -> object:
        """Look at the domain's records in DNS now."""
        domain = verify_domain(domain=_named(caller, given["name"]), actor=caller.actor)
        if not domain.is_verified:
            checks = serializers.DNSChecks().to_representation(domain)
            proof = {"dns_verification_string": verification_string(domain), "dns_checks": checks}
            raise refuse(VERIFICATION_FAILED, proof)
        return {"domain": domain}

    @reads(
        "dns_records",
        answers={"domain": serializers.CheckedDomain(), "dns_records": serializers.Record(many=True)},
        takes=parameters.ShowDNSRecords,
        errors=(INVALID_DOMAIN, INVALID_DOMAIN_ID), error_data=serializers.UnknownDomain,
    )  # fmt: skip
    def dns_records(self, caller: Caller, given: Given) -> object:
        """The records that a domain of the key's server must have in DNS, and what the last look found."""
        if given["domain_id"] is not None:
            own = Domain.objects.filter(server_id=caller.server_id)
            domain = one_of(own, INVALID_DOMAIN_ID, uuid=given["domain_id"])
        else:
            domain = _named(caller, given["domain_name"])
        return {"domain": domain, "dns_records": records_wanted(domain)}


def with_sent(domains: Iterable[Any], server_id: int, now: datetime.datetime) -> Iterable[Any]:
    """Give each domain of a server its `stats`."""
    domains = list(domains)
    sent = queries.domain_sent(server_id, [each.name for each in domains], now)
    for each in domains:
        each.stats = sent[each.name]
    return domains


def _ordered(domains: QuerySet[Domain], given: Given) -> QuerySet[Domain]:
    column = F(given["order_by"])
    # The two databases put nulls at different ends.
    order = column.asc(nulls_last=True) if given["order_direction"] == "ASC" else column.desc(nulls_last=True)
    return domains.order_by(order, "pk").only(
        "uuid", "name", "verified_at", "spf_status", "dkim_status", "mx_status", "return_path_status", "dmarc_status"
    )


def _named(caller: Caller, name: str) -> Domain:
    """Return the domain of the key's server; declines in the page's words."""
    try:
        return find_domain(Server(pk=caller.server_id), name)
    except NotFound:
        raise refuse(INVALID_DOMAIN, {"name": name}) from None
