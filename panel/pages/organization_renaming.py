"""Everything that depends on an organization's permalink, shown before it is changed."""

import datetime

from django.conf import settings
from django.utils import formats

from core.provided_roles import rules_of
from core.texts import counted
from ippools.models import IPPoolMember
from nodes.models import NodeAddress
from panel.forms.previews import SHOWN_LINES, Effect
from servers.models import Organization, Server
from servers.pools import addresses_of
from stats.intake import reported_names
from stats.models import SourceMapping


def effect(organization: Organization, was: str, *, is_platform: bool, now: datetime.datetime) -> Effect | None:
    """Return what depends on the permalink that the organization had before (`was`); None: nothing, or it is the same.

    The reporters that said the old one are the platform's: its tenants are told how many there are (not `is_platform`).
    """
    if was == organization.permalink or not Server.objects.filter(organization=organization).exists():
        return None
    until = formats.date_format(now + datetime.timedelta(days=settings.SLUICE_PERMALINK_HOLD), "DATE_FORMAT")
    lines = [*_reporters(was, until, is_platform=is_platform), *_users(organization, was)]
    if is_platform:
        lines += [*_mappings(organization, was), *_roles(organization, was)]
    lines += _hosts(organization, was)
    nodes = _nodes(organization)
    at_nodes = f" {counted(nodes, 'node takes', 'nodes take')} the new ones with the next policy." if nodes else ""
    return Effect(
        f"SMTP users begin with {organization.permalink}/ instead of {was}/: programs can no longer authenticate with the "
        f"old ones.{at_nodes} Until {until}, {was} is reserved, and events that contain it count for {organization} as before;"
        " then they are refused, until another organization takes the name.",
        lines,
    )


def _reporters(was: str, until: str, *, is_platform: bool) -> list[tuple[str, str, str]]:
    uses = reported_names.uses_of(was)
    if not is_platform:
        total = sum(use.names for use in uses)
        said = f"{was}/… for {counted(total, 'server', 'servers')}"
        return (
            [(f"{counted(len(uses), 'collector', 'collectors')} of the platform", said, f"until {until}")]
            if uses
            else []
        )
    return [
        (
            use.reporter[:1].upper() + use.reporter[1:],
            f"{was}/… for {counted(use.names, 'server', 'servers')}, last on {formats.date_format(use.last_on)}",
            f"until {until}",
        )
        for use in uses
    ]


def _users(organization: Organization, was: str) -> list[tuple[str, str, str]]:
    servers = Server.objects.living().filter(organization=organization).values_list("name", "permalink")
    return [
        (f"SMTP user of {name}", f"{was}/{permalink}", f"{organization.permalink}/{permalink}")
        for name, permalink in servers
    ]


def _mappings(organization: Organization, was: str) -> list[tuple[str, str, str]]:
    texts = SourceMapping.objects.filter(server__organization=organization, text__contains=was).order_by("text", "pk")
    return [
        (f"Mapping of event source {source}", text, f"still means {server}")
        for source, text, server in texts.values_list("source__name", "text", "server__name")[:SHOWN_LINES]
    ]


def _roles(organization: Organization, was: str) -> list[tuple[str, str, str]]:
    rules = [rule for rule in rules_of(settings.SLUICE_OIDC_ROLES) if rule.organization == was]
    return [
        ("Single sign-on (SLUICE_OIDC_ROLES)", f"{rule.group}={was}/{rule.role}", f"still means {organization}")
        for rule in rules[:SHOWN_LINES]
    ]


def _hosts(organization: Organization, was: str) -> list[tuple[str, str, str]]:
    hosts = addresses_of(organization).filter(hostname__endswith=f".{was}.{settings.SLUICE_HOSTNAME_SUFFIX}").count()
    return [(counted(hosts, "host name of an address", "host names of addresses"), f".{was}.", "stay")] if hosts else []


def _nodes(organization: Organization) -> int:
    pools = Server.objects.living().filter(organization=organization, ip_pool__isnull=False).values("ip_pool_id")
    addresses = IPPoolMember.objects.filter(pool_id__in=pools).values("ip_address_id")
    return NodeAddress.objects.filter(ip_address_id__in=addresses).values("node_id").distinct().count()
