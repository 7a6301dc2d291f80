"""DomainDNSError: calls a server's webhooks when a domain begins to fail a DNS check."""

import datetime

from django.db import transaction
from django.db.models import F, Q

from core.locks import advisory
from servers.models import Domain, Webhook
from webhooks.models import DomainNotice
from webhooks.payloads import DOMAIN_ERROR, of_domain
from webhooks.queueing import queue, targets_of

_MOST_AT_ONCE = 500
_LOCK = "webhooks.domain_errors"
# Postal: SPF and DKIM must be right; MX and the return path must be right or not there at all.
_MUST_BE_OK = ("spf", "dkim")
_MAY_BE_MISSING = ("mx", "return_path")


def announce(*, at: datetime.datetime) -> int:
    """Look at the domains that were checked since the last look, and return how many deliveries were written.

    A domain is told of when it ceases to be well and when what is wrong with it changes, once each time.
    """
    servers = set(_wanting_servers())
    total = 0
    while servers:
        with transaction.atomic():
            # Two that look at once would tell the same twice.
            advisory(_LOCK)
            domains = list(_checked_meanwhile(servers))
            told = targets_of({each.server_id for each in domains})
            notices = {each.pk: each for each in DomainNotice.objects.filter(domain__in=domains)}
            payloads = []
            for domain in domains:
                notice = notices.get(domain.pk)
                trouble = trouble_of(domain)
                if trouble and trouble != (notice.told if notice else ""):
                    targets = [each for each in told.get(domain.server_id, ()) if each.wants(DOMAIN_ERROR)]
                    payloads += [(target, DOMAIN_ERROR, of_domain(domain)) for target in targets]
            DomainNotice.objects.bulk_create(
                [
                    DomainNotice(domain=each, checked_at=each.dns_checked_at or at, told=trouble_of(each))
                    for each in domains
                ],
                update_conflicts=True,
                unique_fields=["domain"],
                update_fields=["checked_at", "told"],
            )
            total += queue(payloads, now=at)
        if len(domains) < _MOST_AT_ONCE:
            break
    return total


def trouble_of(domain: Domain) -> str:
    """Return what is wrong with a domain in a word that changes with it; "" where it is well or not known."""
    bad = [
        f"{name}={status}"
        for name in (*_MUST_BE_OK, *_MAY_BE_MISSING)
        if (status := getattr(domain, f"{name}_status") or "ok") != "ok"
        and not (name in _MAY_BE_MISSING and status == "missing")
    ]
    return " ".join(bad)


def _wanting_servers() -> list[int]:
    """Return the servers that have an enabled webhook for the event."""
    rows = Webhook.objects.filter(enabled=True, server__deleted_at=None).values_list("server_id", "events")
    return [server for server, events in rows if not events or DOMAIN_ERROR in events]


def _checked_meanwhile(servers: set[int]) -> list[Domain]:
    unseen = Q(webhook_notice=None) | Q(webhook_notice__checked_at__lt=F("dns_checked_at"))
    rows = Domain.objects.filter(unseen, server__in=servers, dns_checked_at__isnull=False)
    return list(rows.select_related("server__organization").order_by("pk")[:_MOST_AT_ONCE])
