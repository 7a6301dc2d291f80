"""`python -m tests.mta.inside_sluice COMMAND …`: acts in a running Sluice's database, told as one JSON object."""

import datetime
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import django
from django.utils import timezone

from tools import panel


def act(sluice: panel.Panel, *arguments: str, module: str = "tests.mta.inside_sluice") -> Any:
    """Let a command of this module, or of another like it, act in a running Sluice, and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=panel.ROOT,
        env=sluice.environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def prepare(kind: str, first: str, second: str) -> dict[str, Any]:
    """Make an organization with a pool of two addresses, a server that sends by it, and a node that has them."""
    from core.audit import Actor
    from ippools.models import IPAddress, IPPool
    from nodes.nodes import create_node
    from servers.credentials import create_credential
    from servers.models import Server
    from servers.pools import create_pool
    from servers.provisioning import create_organization, create_server

    actor = Actor.of_command("mta")
    organization = create_organization(at=timezone.now(), name="ACME Inc", permalink="acme", actor=actor)
    create_pool(organization=organization, name="Pool", ips=[first, second], actor=actor)
    created = create_server(organization=organization, name="Mail", actor=actor)
    Server.objects.filter(pk=created.server.pk).update(ip_pool=IPPool.objects.get(name="Pool"))
    made = create_credential(server=created.server, kind="smtp", name="mta", actor=actor)
    node = create_node(name="mta1", kind=kind, addresses=[first, second], actor=actor)
    return {
        "key": node.key,
        "password": made.key,
        "credential": made.credential.pk,
        "addresses": {each.ipv4: each.pk for each in IPAddress.objects.all()},
    }


def prepare_two(kind: str, first: str, second: str, third: str) -> dict[str, Any]:
    """Make a node for two organizations, each with a server: the first's pool has two addresses, the second's one."""
    from core.audit import Actor
    from nodes.nodes import create_node

    actor = Actor.of_command("mta")
    passwords = {
        name: _server(name, ips, actor).key for name, ips in {"acme": [first, second], "globex": [third]}.items()
    }
    node = create_node(name="mta1", kind=kind, addresses=[first, second, third], actor=actor)
    return {"key": node.key, "passwords": {f"{name}/mail": key for name, key in passwords.items()}}


def prepare_limit(first: str, second: str) -> dict[str, Any]:
    """Make an organization whose server sends by two addresses with a limit for gmail.com, and yesterday's mail."""
    from core.audit import Actor
    from ippools.addresses import NewAddress, create_many
    from servers.credentials import create_credential
    from servers.pools import add_members, create_pool
    from servers.provisioning import create_organization, create_server
    from tests.mta.demo_history import report_yesterday
    from throttling import templates

    actor, now = Actor.of_command("mta"), timezone.now()
    organization = create_organization(at=now, name="ACME Inc", permalink="acme", actor=actor)
    rule = {"domains": ["gmail.com"], "max_concurrent_connections": 10, "max_messages_per_hour": 7200}
    template = templates.create(
        name="Large providers", max_concurrent_connections=10, max_messages_per_hour=0, rules=[rule], actor=actor
    )
    rows = [NewAddress(ipv4=ip, hostname=f"mta{ip[-2:]}.acme.example", template=template) for ip in (first, second)]
    addresses = create_many(rows, actor=actor, organization_id=organization.pk)
    pool = create_pool(organization=organization, name="Pool", ips=[], actor=actor).pool
    add_members(pool=pool, addresses=addresses, actor=actor, organization_id=organization.pk)
    created = create_server(organization=organization, name="Mail", pool=pool, actor=actor)
    report_yesterday(created.server, template, now=now, addresses=[first, second])
    return {"password": create_credential(server=created.server, kind="smtp", name="mta", actor=actor).key}


def node() -> dict[str, Any]:
    """Return what the node says of itself."""
    from nodes.models import NodeReport

    report = NodeReport.objects.filter(node__name="mta1").first() or NodeReport()
    return {"revision": report.revision_applied, "error": report.error, "version": report.mta_version}


def _server(name: str, ips: list[str], actor: Any) -> Any:
    from servers.credentials import create_credential
    from servers.pools import create_pool
    from servers.provisioning import create_organization, create_server

    organization = create_organization(at=timezone.now(), name=name.title(), permalink=name, actor=actor)
    pool = create_pool(organization=organization, name=f"Pool of {name}", ips=ips, actor=actor).pool
    created = create_server(organization=organization, name="Mail", pool=pool, actor=actor)
    return create_credential(server=created.server, kind="smtp", name="mta", actor=actor)


def pause(address: str, other: str) -> dict[str, Any]:
    """Pause one address, and resume the other; return when that was saved."""
    from core.audit import Actor
    from ippools import pausing

    actor = Actor.of_command("mta")
    now = datetime.datetime.now(datetime.UTC)
    pausing.resume(int(other), actor=actor)
    pausing.pause(int(address), reason="A test", until=None, at=now, actor=actor)
    return {"saved": time.time()}


def hold(credential: str) -> dict[str, Any]:
    """Hold a credential."""
    from core.audit import Actor
    from servers.credentials import hold_credential
    from servers.models import Credential

    hold_credential(
        credential=Credential.objects.get(pk=int(credential)),
        at=datetime.datetime.now(datetime.UTC),
        actor=Actor.of_command("mta"),
    )
    return {}


def counts() -> dict[str, Any]:
    """Return how many events are stored, by kind; and the node as the panel sees it."""
    from collections import Counter

    from nodes.models import NodeReport
    from stats.kinds import Kind
    from stats.models import Event
    from stats.reasons import Reason

    report = NodeReport.objects.filter(node__name="mta1").first()
    return {
        "events": Counter(Kind(number).label for number in Event.objects.values_list("kind", flat=True)),
        "without_address": Event.objects.filter(address_id=0).exclude(kind=Kind.INCOMING).count(),
        "version": report.version if report else "",
        "suppressed": Event.objects.filter(kind=Kind.HELD, reason=Reason.SUPPRESSED).count(),
    }


def outcomes() -> list[list[Any]]:
    """Return [server, address, recipient's domain, what happened, how often] of every attempt that is stored."""
    from django.db.models import Count

    from ippools.models import IPAddress
    from servers.models import Server
    from stats.kinds import Kind
    from stats.models import Event, RecipientDomain

    servers = {
        each.pk: f"{each.organization.permalink}/{each.permalink}"
        for each in Server.objects.select_related("organization")
    }
    ips = dict(IPAddress.objects.values_list("pk", "ipv4"))
    domains = dict(RecipientDomain.objects.values_list("pk", "name"))
    rows = Event.objects.values_list("server_id", "address_id", "recipient_id", "kind").annotate(Count("kind"))
    return [
        [servers[server], ips.get(address, ""), domains.get(domain, ""), Kind(kind).label, number]
        for server, address, domain, kind, number in rows
    ]


def counted() -> dict[str, dict[str, dict[str, int]]]:
    """Fold what is stored, and return the counts of all time of each server and each address."""
    from django.core.management import call_command

    from ippools.models import IPAddress
    from servers.models import Server
    from stats.counts.buckets import Grain
    from stats.models import AddressCount, ServerCount

    call_command("roll_up_stats", stdout=io.StringIO())
    call_command("audit_stats", stdout=io.StringIO())
    words = ("incoming", "sent", "deferred", "bounced")
    of_servers = {
        f"{server.organization.permalink}/{server.permalink}": count
        for server in Server.objects.select_related("organization")
        for count in ServerCount.objects.filter(server_id=server.pk, grain=Grain.TOTAL).values(*words)
    }
    of_addresses = {
        address.ipv4: count
        for address in IPAddress.objects.all()
        for count in AddressCount.objects.filter(address_id=address.pk, grain=Grain.TOTAL).values(*words)
    }
    return {"servers": of_servers, "addresses": of_addresses}


def main(*known: Callable[..., Any]) -> None:
    """Run the command that is asked for, and print what it returns."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    command = next(each for each in known if each.__name__ == sys.argv[1])
    print(json.dumps(command(*sys.argv[2:])))


if __name__ == "__main__":
    main(prepare, prepare_two, prepare_limit, node, pause, hold, counts, outcomes, counted)
