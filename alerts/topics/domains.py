"""Sender domains that fail a check in DNS, or are not verified."""

import datetime

from django.db.models import F, Q

from alerts.asking import Answers, Question, Row
from alerts.items import Group, Item, lines
from alerts.links import change_url
from alerts.scope import among
from alerts.topics.look import MOMENT, Look
from servers.models import Domain

RECORDS = (
    ("spf_status", "SPF"),
    ("dkim_status", "DKIM"),
    ("mx_status", "MX"),
    ("return_path_status", "return path"),
    ("dmarc_status", "DMARC"),
)
WRONG = ("missing", "invalid")
# A new domain's owner has so long to publish the record that verifies it.
VERIFIED_WITHIN = datetime.timedelta(days=1)
_FAILING = Group("bad", "domain_dns", "domains fail their DNS checks", "servers.domain")
_UNVERIFIED = Group("warn", "domain_unverified", "domains are not verified", "servers.domain")
GROUPS = (_FAILING, _UNVERIFIED)


def failing() -> Q:
    """Return the condition of domains that send and fail a check."""
    condition = Q()
    for field, _ in RECORDS[:4]:
        condition |= Q(**{f"{field}__in": WRONG})
    return condition & Q(server__deleted_at=None, outgoing=True)


def questions(look: Look) -> list[Question]:
    """Return what is asked. A domain that fails a check is not named as unverified too."""
    unverified = Q(verified_at=None, created_at__lt=MOMENT - VERIFIED_WITHIN, server__deleted_at=None, outgoing=True)
    facts = {name: F(name) for name in ("pk", "name", *(field for field, _ in RECORDS), "verification_status")}
    facts["server"] = F("server__name")
    return [
        Question(
            name,
            among(Domain.objects.filter(wanted), "server__organization_id", look.scope.organization_ids),
            facts,
            look.named,
            ("name", "pk"),
        )
        for name, wanted in (("domain_dns", failing()), ("domain_unverified", unverified & ~failing()))
    ]


def items(look: Look, answers: Answers) -> list[Item]:
    """Return the lines."""
    return [
        *lines(answers["domain_dns"], named=look.named, group=_FAILING, one=_failing),
        *lines(answers["domain_unverified"], named=look.named, group=_UNVERIFIED, one=_unverified),
    ]


def _failing(row: Row) -> Item:
    wrong = ", ".join(f"{word} {row[field]}" for field, word in RECORDS if row[field] in WRONG)
    return Item(
        "bad",
        "domain_dns",
        f"{row['name']} fails its DNS checks",
        f"{wrong}; server {row['server']}",
        change_url("servers.domain", row["pk"]),
    )


def _unverified(row: Row) -> Item:
    found = row["verification_status"]
    record = f"The record that verifies it is {found}" if found in WRONG else "It has not been checked"
    return Item(
        "warn",
        "domain_unverified",
        f"{row['name']} is not verified",
        f"{record}; server {row['server']}",
        change_url("servers.domain", row["pk"]),
    )
