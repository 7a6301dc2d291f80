"""The demo's relay server, routing rule, pool rules, routes and webhooks. Existing records are not changed."""

from config.demo import cast
from core.audit import Actor
from core.names import fold
from core.references import Reference
from ippools import relay_servers, routing_rules
from ippools.models import IPPool, VirtualMTA
from ippools.routing_rules import TargetFields
from servers import pool_rules, routes, webhooks
from servers.models import Organization, Server

RELAY, SPLIT = "Smart host Frankfurt", "Bulk overflow"
# By owner (an organization's permalink, or that and a server's name): conditions and the pool.
POOL_RULES: tuple[tuple[tuple[str, ...], dict[str, list[str]], str], ...] = (
    (("northwind",), {"from_conditions": ["no-reply@id.northwind.example"]}, "Transactional"),
    (("northwind", "Newsletter Europe"), {"to_conditions": ["postmaster@gmail.com"]}, "Transactional"),
    (("northwind", "Newsletter Europe"), {"to_conditions": ["orange.fr", "wanadoo.fr"]}, "Shared Europe"),
    (("northwind", "Newsletter Europe"), {"from_conditions": ["editor@northwind.example"]}, "Transactional"),
)
ROUTES = (
    (
        ("northwind", "Orders"),
        {"name": "returns", "mode": "endpoint", "endpoint": "https://shop.northwind.example/mail"},
    ),
    (("northwind", "Orders"), {"name": "no-reply", "mode": "bounce"}),
    (("harbour", "Partner portal"), {"name": "abuse", "mode": "endpoint", "endpoint": "abuse@harbour.example"}),
)
WEBHOOKS = (
    (
        ("brightmail", "Receipts"),
        {"name": "Billing", "url": "https://hooks.brightmail.example/mail", "events": ["MessageBounced", "MessageHeld"]},
    ),
    (
        ("northwind", "Orders"),
        {"name": "Operations", "url": "https://ops.northwind.example/sluice", "events": [], "enabled": True, "sign": True},
    ),
)  # fmt: skip


def make(servers: dict[tuple[str, str], Server], actor: Actor) -> None:
    """Create missing records; existing ones are not changed."""
    _relay_and_routing(actor)
    pools = {pool.name: pool for pool in IPPool.objects.filter(name_key__in=[fold(row.name) for row in cast.POOLS])}
    organizations = {each.permalink: each for each in Organization.objects.all()}
    fresh = {key for key, server in servers.items() if not server.pool_rules.exists()}
    fresh_organizations = {name for name, each in organizations.items() if not each.pool_rules.exists()}
    for key, conditions, pool in POOL_RULES:
        owner = organizations.get(key[0]) if len(key) == 1 else servers.get((key[0], key[1]))
        if owner is not None and (key in fresh or (key[0] in fresh_organizations and len(key) == 1)):
            pool_rules.create_rule(owner=owner, pool=pools[pool], actor=actor, **conditions)
    for key, columns in ROUTES:
        server = servers.get((key[0], key[1]))
        if server is not None and not server.routes.filter(name=columns["name"]).exists():
            routes.create_route(server=server, actor=actor, **columns)
    for key, settings in WEBHOOKS:
        server = servers.get((key[0], key[1]))
        if server is not None and not server.webhooks.filter(name=settings["name"]).exists():
            webhooks.create_webhook(server=server, actor=actor, **settings)


def _relay_and_routing(actor: Actor) -> None:
    if not VirtualMTA.objects.filter(name_key=fold(RELAY)).exists():
        relay_servers.create(
            actor=actor,
            name=RELAY,
            source_ip="192.0.2.90",
            source_hostname="relay.eu.sluice.example",
            destination_hostname="smtp.relay.example",
            destination_port=587,
            destination_username="sluice",
            max_concurrent_connections=20,
            max_messages_per_hour=20_000,
        )
    if not VirtualMTA.objects.filter(name_key=fold(SPLIT)).exists():
        shared = [ip for pool in cast.POOLS if pool.name == "Shared Europe" for ip in pool.ips[:2]]
        ways = [TargetFields(virtual_mta=Reference(name=f"ip-{ip}"), portion_of_mail=3) for ip in shared]
        relay = TargetFields(virtual_mta=Reference(name=RELAY), portion_of_mail=1)
        routing_rules.create(
            actor=actor,
            name=SPLIT,
            default={"randomization_type": "random", "deliver_through": [*ways, relay]},
            domain_overrides=[
                {
                    "domains": ["t-online.de", "*.t-online.de"],
                    "randomization_type": "message_constant",
                    "deliver_through": [relay],
                }
            ],
        )
