"""Which SPF records change when addresses join a pool, and to what: asked before they join."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings
from django.db.models import QuerySet
from django.db.models.fields.json import KT

from ippools.models import IPPool
from servers.dns_records import DNSRecord, Sending, expected_of_many, spf_text
from servers.models import Domain, Server
from servers.spf_coverage import domains_of

# So many domains are looked at and named.
MOST = 50


@dataclass(frozen=True, slots=True)
class Change:
    """A domain whose SPF record does not cover the addresses yet: the record to publish, and what DNS answered last."""

    domain: Domain
    record: DNSRecord
    answer: str


@dataclass(frozen=True, slots=True)
class Changes:
    """The changed records of the first domains, how many domains send by the pool, and the include that covers them.

    With an include no domain's record changes: the platform's own does.
    """

    found: tuple[Change, ...] = ()
    total: int = 0
    include: str = ""


def of_joining(pool: IPPool, sendings: Sequence[Sending], servers: QuerySet[Server]) -> Changes:
    """Return what changes when these addresses join the pool, for the domains of these servers. At most eight queries."""
    if not sendings:
        return Changes()
    domains = domains_of([pool.pk], servers)
    if include := settings.SLUICE_SPF_INCLUDE:
        return Changes(total=domains.count(), include=include)
    rows = domains.select_related("server__organization").defer("dns_answers", "dkim_private_key")
    named = list(rows.annotate(answer=KT("dns_answers__spf__answer")).order_by("name", "pk")[:MOST])
    ids = [row.pk for row in named]
    before, after = expected_of_many(ids), expected_of_many(ids, joining={pool.pk: sendings})
    found = []
    for row in named:
        text = spf_text(after[row.pk])
        if text != spf_text(before[row.pk]):
            found.append(Change(row, DNSRecord("spf", "TXT", row.name, "@", text), row.answer or ""))
    total = len(named) if len(named) < MOST else domains.count()
    return Changes(tuple(found), total)
