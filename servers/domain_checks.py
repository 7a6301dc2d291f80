"""DNS checks of domains: the input of a check, and the consequences of its result."""

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from django.conf import settings
from django.db.models import F
from django.db.models.expressions import Combinable

from core.audit import Actor, record
from core.errors import NotFound
from dnschecks.checked import DNSCheckedQuerySet, DNSStatus
from dnschecks.findings import Findings
from dnschecks.resolver import CHECK_TIMEOUT, Resolver
from dnschecks.sweep import Swept, check_now, make_due, sweep
from servers import dns, verifications
from servers.dns_records import Expected, expected_of_many
from servers.models import Domain


class DomainChecks:
    """The checks of domains, for the sweep."""

    def __init__(self, actor: Actor) -> None:
        self.actor = actor

    def rows(self) -> DNSCheckedQuerySet[Domain]:
        return Domain.objects.living().select_related("server")

    def owner(self) -> Combinable:
        return F("server__organization_id")

    def plans(self, ids: Sequence[int]) -> Mapping[int, Expected]:
        return expected_of_many(ids) if ids else {}

    def examine(self, plan: Expected, resolver: Resolver) -> Findings:
        return dns.examine(plan, resolver)

    def write(self, row: Domain, findings: Findings, at: datetime.datetime) -> dict[str, Any]:
        """Verify the domain, or end that, by what the look for its TXT record found; a failure changes nothing."""
        status = findings["verification"].status
        if status is None or (status == DNSStatus.OK) == row.is_verified:
            return {}
        return {"verified_at": record_verification(row, is_verified=status == DNSStatus.OK, at=at, actor=self.actor)}


def check_due_domains(*, seconds: float, limit: int | None = None) -> Swept:
    """Check the domains that are due, until none is or the seconds are over."""
    kind = DomainChecks(Actor.system())
    return sweep(kind, parallel=settings.SLUICE_DNS_PARALLEL, seconds=seconds, limit=limit)


def check_domain(domain: Domain, *, actor: Actor, seconds: float = CHECK_TIMEOUT) -> Domain:
    """Check the domain at once and return it as it is then.

    Raises CheckInProgress where another check of it goes on, TooManyChecks where its organization has enough of them under way
    (then a worker checks it soon), and NotFound where it has been deleted meanwhile.
    """
    check_now(DomainChecks(actor), domain.pk, asked_by=domain.server.organization_id, seconds=seconds)
    checked = Domain.objects.select_related("server__organization").filter(pk=domain.pk).first()
    if checked is None:
        raise NotFound("The domain could not be found with the provided name")
    return checked


def record_verification(
    domain: Domain, *, is_verified: bool, at: datetime.datetime, actor: Actor
) -> datetime.datetime | None:
    """Record that a domain was verified, or is no longer, and check other owners of the name again.

    Returns what the caller writes as `verified_at`.
    """
    organization_id = domain.server.organization_id
    verified_at = at if is_verified else None
    was, now_ = domain.verified_at, verified_at
    if is_verified:
        verifications.begin(domain, at=at)
    else:
        verifications.end(domain, at=at)
    record(
        actor=actor,
        act="domain.verified" if verified_at else "domain.unverified",
        target=domain,
        before={"verified_at": was.isoformat() if was else None},
        after={"verified_at": now_.isoformat() if now_ else None},
        organization_id=organization_id,
    )
    if verified_at is not None:
        rivals = Domain.objects.living().verified().named(domain.name).exclude(server__organization_id=organization_id)
        # The name may have changed hands: then their record is gone.
        make_due(rivals)
    return verified_at
