"""`python -m tests.lab.inside_sluice COMMAND …`: what a scenario in real time does in a running Sluice's database."""

import json
from typing import Any

from tests.mta.inside_sluice import main


def prepare(kind: str, given: str) -> dict[str, Any]:
    """Make what the scenario's table says: a node with a pool, a server, rules with a program and rules without."""
    from django.utils import timezone

    from core.audit import Actor
    from core.references import Reference
    from ippools import drains, ip_addresses
    from ippools.models import IPAddress
    from nodes.nodes import create_node
    from servers.credentials import create_credential
    from servers.pools import create_pool
    from servers.provisioning import create_organization, create_server
    from throttling import programs, templates
    from throttling.drain import Mode

    scenario = json.loads(given)
    actor = Actor.of_command("lab")
    program = programs.create(actor=actor, **scenario["program"])
    organization = create_organization(at=timezone.now(), name="ACME Inc", permalink="acme", actor=actor)
    pool = create_pool(organization=organization, name="Pool", ips=scenario["addresses"], actor=actor).pool
    drains.configure(pool.pk, mode=Mode(scenario["draining"]), share=30, actor=actor)
    template = templates.create(
        name="Of the pool",
        max_concurrent_connections=0,
        max_messages_per_hour=0,
        rules=[
            {
                "domains": [each["domain"]],
                "max_concurrent_connections": scenario["connections"],
                "max_messages_per_hour": scenario["messages_per_hour"],
                "throttle_program": Reference(program.pk) if each["domain"] not in scenario["without"] else None,
            }
            for each in scenario["receivers"]
        ],
        actor=actor,
    )
    for address in IPAddress.objects.filter(memberships__pool=pool):
        ip_addresses.change(address.pk, template=Reference(template.pk), actor=actor)
    created = create_server(organization=organization, name="Mail", pool=pool, actor=actor)
    credential = create_credential(server=created.server, kind="smtp", name="lab", actor=actor)
    node = create_node(name="mta1", kind=kind, addresses=scenario["addresses"], actor=actor)
    return {"key": node.key, "password": credential.key}


def decided() -> dict[str, Any]:
    """Return what was decided up to now: caps of the program, oldest first, and drains."""
    from ippools.models import AddressCap, AddressDrain

    caps = AddressCap.objects.filter(rule__isnull=False, until__isnull=False).select_related("address")
    return {
        "caps": [
            {
                "address": cap.address.ipv4,
                "domain": cap.rule.domains.get().pattern if cap.rule else "",
                "per_hour": cap.max_messages_per_hour,
                "reason": cap.reason,
                "began": cap.began_at.timestamp(),
                "until": (cap.ended_at or cap.until).timestamp(),
                # The boundary of ten seconds at which the engine decided.
                "boundary": cap.until.timestamp() - cap.rule.throttle_program.return_after_seconds,
            }
            for cap in caps.order_by("began_at", "pk")
            if cap.rule and cap.rule.throttle_program and cap.until
        ],
        "drains": [
            {
                "address": row.address.ipv4,
                "at": (row.drained_at or row.began_at).timestamp(),
                "effect": row.effect,
                "providers": row.providers,
                "reason": row.reason,
            }
            for row in AddressDrain.objects.select_related("address").order_by("pk")
        ],
    }


if __name__ == "__main__":
    main(prepare, decided)
