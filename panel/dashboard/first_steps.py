"""The first steps on an empty installation or organization."""

from dataclasses import dataclass

from django.db.models import Exists
from django.urls import NoReverseMatch, reverse

from alerts.scope import Scope, among
from core.models import User
from ippools.models import IPPool, IPPoolMember
from panel.viewer import Viewer
from servers.models import Organization, Server
from stats.counts.buckets import Grain
from stats.ledger.database import IS_APART
from stats.models import ServerCount


@dataclass(frozen=True, slots=True)
class Step:
    """One step: title, explanation, URL, and whether it is done."""

    title: str
    why: str
    url: str
    link: str
    is_done: bool


def steps(scope: Scope, viewer: Viewer) -> list[Step]:
    """Return the first steps, or nothing if all are done. One query, two where the counts are in a database of their own."""
    servers = Server.objects.living()
    counts = ServerCount.objects.filter(grain=Grain.TOTAL, bucket=0)
    wanted = {
        "organization": among(Organization.objects.all(), "pk", scope.organization_ids),
        "pool": among(IPPool.objects.all(), "pk", scope.pool_ids),
        "member": among(IPPoolMember.objects.all(), "pool", scope.pool_ids),
        "server": among(servers, "pk", scope.server_ids),
    }
    counted = among(counts, "server_id", scope.server_ids)
    if not IS_APART:
        wanted["count"] = counted
    exists = {f"has_{name}": Exists(rows.order_by()) for name, rows in wanted.items()}
    done = User.objects.filter(pk=viewer.user.pk).annotate(**exists).values(*exists).get()
    if IS_APART:
        done["has_count"] = counted.exists()
    if all(done.values()):
        return []
    return [
        Step(
            "Create an organization",
            "A tenant: it has servers, people and pools of its own.",
            _url("servers_organization_add", may=viewer.is_platform),
            "Add an organization",
            done["has_organization"],
        ),
        Step(
            "Create a pool and add addresses",
            "A server sends from the addresses of its pool. Paste a list or a network (CIDR).",
            _url("ippools_ippool_add", may=viewer.changes_any),
            "Add a pool",
            done["has_pool"] and done["has_member"],
        ),
        Step(
            "Create a server",
            "Programs send mail and report events with its API key.",
            _url("servers_server_add", may=viewer.changes_any),
            "Add a server",
            done["has_server"],
        ),
        Step(
            "Report the first event",
            "What happened to each message is posted to /api/v1/events with the server's API key;"
            " within seconds it is counted, and this page shows it.",
            _url("servers_server_changelist", may=True),
            "Find the key on the server's page",
            done["has_count"],
        ),
    ]


def _url(name: str, *, may: bool) -> str:
    """Return the page's URL, or nothing if the user cannot open it."""
    try:
        return reverse(f"admin:{name}") if may else ""
    except NoReverseMatch:
        return ""
