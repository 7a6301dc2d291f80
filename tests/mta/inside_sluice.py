"""`python -m tests.mta.inside_sluice COMMAND …`: acts in a running Sluice's database, told as one JSON object."""

import datetime
import json
import os
import sys
import time
from typing import Any

import django
from django.utils import timezone


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


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    command = {"prepare": prepare, "pause": pause, "hold": hold, "counts": counts}[sys.argv[1]]
    print(json.dumps(command(*sys.argv[2:])))


if __name__ == "__main__":
    main()
