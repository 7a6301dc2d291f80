"""Quotas of organizations: their own limits, or the platform's defaults (SLUICE_MAX_…).

Exact under races: acts count and write while they hold the organization's row (servers.locks).
"""

import datetime
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from django.conf import settings
from django.db.models import CharField
from django.db.models.functions import Cast

from core.audit import Actor
from core.errors import QuotaExceeded
from core.models import AuditEntry
from ippools.models import IPPoolMember
from servers.models import Credential, Domain, Organization, Server, Webhook

KEYLESS = "max_keyless_creations_an_hour"
# The columns are 32-bit integers.
HIGHEST = 2**31 - 1
# Who makes a server by servers/create without a key.
WITHOUT_A_KEY = Actor(AuditEntry.ActorKind.SYSTEM, None, "Without a key")
HOUR = datetime.timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Usage:
    """The use and the limit of one kind of record; `is_own`: the limit was set for this organization."""

    noun: str
    used: int
    limit: int
    is_own: bool


def _servers(organization: Organization) -> int:
    return Server.objects.living().filter(organization=organization).count()


def _domains(organization: Organization) -> int:
    return Domain.objects.filter(server__organization=organization, server__deleted_at=None).count()


def _addresses(organization: Organization) -> int:
    """Of the pools that are its own, each address once: those of granted pools are the platform's."""
    members = IPPoolMember.objects.filter(pool__namespace=organization.uuid)
    return members.values("ip_address_id").distinct().count()


def _credentials(organization: Organization) -> int:
    """Without the two that each server is made with: servers have a quota of their own."""
    living = Credential.objects.filter(server__organization=organization, server__deleted_at=None)
    return living.filter(is_default=False).count()


def _webhooks(organization: Organization) -> int:
    return Webhook.objects.filter(server__organization=organization, server__deleted_at=None).count()


_COUNTS: Mapping[str, tuple[str, Callable[[Organization], int]]] = {
    "max_servers": ("servers", _servers),
    "max_domains": ("domains", _domains),
    "max_addresses": ("IP addresses in its own pools", _addresses),
    "max_credentials": ("credentials", _credentials),
    "max_webhooks": ("webhooks", _webhooks),
}
FIELDS = (*_COUNTS, KEYLESS)


def noun_of(field: str) -> str:
    """Return what a quota counts, as "servers"."""
    return _COUNTS[field][0]


def limit_of(organization: Organization, field: str) -> int:
    """Return the limit that applies."""
    own: int | None = getattr(organization, field)
    platforms: int = settings.SLUICE_QUOTAS[field]
    return platforms if own is None else own


def refuse_beyond(organization: Organization, field: str, *, more: int = 1) -> None:
    """Raise QuotaExceeded if `more` of a kind exceed the quota. The caller holds the organization's row."""
    noun, count = _COUNTS[field]
    limit = limit_of(organization, field)
    if more and count(organization) + more > limit:
        raise QuotaExceeded(f"The organization may have at most {limit:,} {noun}")


def refuse_keyless_beyond(organization: Organization, *, at: datetime.datetime) -> None:
    """Raise QuotaExceeded where too many servers were made without a key in the hour before."""
    limit = limit_of(organization, KEYLESS)
    recent = Server.objects.filter(organization=organization, created_at__gt=at - HOUR)
    entries = AuditEntry.objects.filter(
        act="server.created",
        actor_kind=WITHOUT_A_KEY.kind,
        actor_label=WITHOUT_A_KEY.label,
        target_type=Server._meta.label_lower,
        # As a query: servers made by key are among them, however many.
        target_id__in=recent.order_by().values(text=Cast("pk", CharField())),
    )
    if entries.count() >= limit:
        raise QuotaExceeded(f"The organization may make at most {limit:,} servers an hour without a key")


def usage_of(organization: Organization, **known: int) -> list[Usage]:
    """Return use and limit of each kind; `known` are numbers that the caller has, by field."""
    return [
        Usage(
            noun,
            known[field] if field in known else count(organization),
            limit_of(organization, field),
            getattr(organization, field) is not None,
        )
        for field, (noun, count) in _COUNTS.items()
    ]
