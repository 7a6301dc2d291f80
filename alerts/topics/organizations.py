"""Suspended organizations, and those that have used nine tenths of a quota."""

from typing import Any

from django.conf import settings
from django.db.models import Count, F, OuterRef, QuerySet, Subquery, TextField, Value
from django.db.models.functions import Cast, Coalesce

from alerts.asking import Answers, Question, Row
from alerts.items import Group, Item, lines
from alerts.links import change_url
from alerts.scope import among
from alerts.topics.look import Look
from ippools.models import IPPoolMember
from servers.models import Credential, Domain, Organization, Server, Webhook
from servers.quotas import noun_of

# Percent of a quota at which it is told of, and below which it no longer is.
QUOTA_BEGINS, QUOTA_ENDS = 90, 85
_SUSPENDED = Group(
    "warn",
    "organization_suspended",
    "organizations are suspended",
    "servers.organization",
)
_NEAR = Group("warn", "quota", "quotas of organizations are used to 90 % or more", "servers.organization")
GROUPS = (_SUSPENDED, _NEAR)


def questions(look: Look) -> list[Question]:
    """Return what is asked: the suspended, and the use of each kind of record by organization."""
    suspended = Organization.objects.exclude(suspended_at=None)
    columns = ("pk", "name", "suspension_reason")
    return [
        Question(
            "organization_suspended",
            among(suspended, "pk", look.scope.organization_ids),
            {name: F(name) for name in columns},
            look.named,
            ("name_key", "pk"),
        ),
        *(
            Question(
                f"quota:{field}",
                rows,
                {"field": Cast(Value(field), TextField())}
                | {name: F(f"asked_{name}") for name in ("owner", "name", "used", "limit")},
            )
            for field, rows in _used(look).items()
        ),
    ]


def _used(look: Look) -> dict[str, QuerySet[Any, Any]]:
    """Return by quota the organizations that have used most of it, with `asked_used` and `asked_limit`."""
    living, by_server = {"server__deleted_at": None}, "server__organization"
    made: dict[str, tuple[QuerySet[Any, Any], str]] = {
        "max_servers": (Server.objects.living(), "organization"),
        "max_domains": (Domain.objects.filter(**living), by_server),
        "max_credentials": (Credential.objects.filter(is_default=False, **living), by_server),
        "max_webhooks": (Webhook.objects.filter(**living), by_server),
    }
    found = {}
    for field, (records, owner) in made.items():
        grouped = among(records, f"{owner}_id", look.scope.organization_ids).order_by()
        grouped = grouped.values(
            asked_owner=F(f"{owner}_id"), asked_name=F(f"{owner}__name"), asked_limit=_limit(field, f"{owner}__")
        )
        found[field] = _most_of(grouped.annotate(asked_used=Count("pk")))
    # Addresses of its own pools, each once.
    members = IPPoolMember.objects.filter(pool__namespace=OuterRef("uuid")).order_by().values("pool__namespace")
    used = members.annotate(number=Count("ip_address_id", distinct=True)).values("number")
    organizations = among(Organization.objects.all(), "pk", look.scope.organization_ids)
    found["max_addresses"] = _most_of(
        organizations.annotate(
            asked_owner=F("pk"), asked_name=F("name"), asked_limit=_limit("max_addresses"), asked_used=Subquery(used)
        )
    )
    return found


def _limit(field: str, owner: str = "") -> Coalesce:
    return Coalesce(F(f"{owner}{field}"), Value(settings.SLUICE_QUOTAS[field]))


def _most_of(rows: QuerySet[Any, Any]) -> QuerySet[Any, Any]:
    return rows.filter(asked_used__gte=F("asked_limit") * QUOTA_ENDS / 100)


def items(look: Look, answers: Answers) -> list[Item]:
    """Return the lines."""
    near = [
        row
        for name, rows in answers.items()
        if name.startswith("quota:")
        for row in rows
        if 100 * row["used"] >= QUOTA_BEGINS * row["limit"] or look.held.level("quota", _quota_url(row))
    ]
    near.sort(key=lambda row: (row["name"], row["field"]))
    near = [Row(len(near), row.facts) for row in near]
    return [
        *lines(answers["organization_suspended"], named=look.named, group=_SUSPENDED, one=_suspended),
        *lines(near, named=look.named, group=_NEAR, one=_quota),
    ]


def _suspended(row: Row) -> Item:
    url = change_url("servers.organization", row["pk"])
    text = f"Organization {row['name']} is suspended"
    return Item("warn", "organization_suspended", text, row["suspension_reason"], url)


def _quota_url(row: Row) -> str:
    return f"{change_url('servers.organization', row['owner'])}#quota-{row['field']}"


def _quota(row: Row) -> Item:
    percent = 100 * row["used"] // row["limit"] if row["limit"] else 100
    noun = noun_of(row["field"])
    return Item(
        "warn",
        "quota",
        f"{row['name']} has used {percent}\N{NO-BREAK SPACE}% of its quota of {noun}",
        f"{row['used']:,} of {row['limit']:,} {noun}",
        _quota_url(row),
    )
