"""Platforms of two sizes around the demo's data, and a first one in which every list of the demo's is filled to a page.

What grows on a real platform grows in proportion: what hangs on organizations, servers, addresses and webhooks, and counts.
A tenth of all is of the demo's first organization. Another one, the steady organization, has a page of everything as well, and
stays as it is, as do all others of the demo. What grows with time instead (raw
events, batches, days, revisions) is in the benchmark of a year. Most rows are written by SQL (tests.benchmarks.grown).
"""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass

from django.contrib.auth.models import Group
from django.db.models import Model

from alerts.models import Alert, Channel, Message, Notice, Report
from config.demo import cast
from core.audit import Actor
from core.models import ApiToken, AuditEntry, Job, SetAside, User
from core.references import Reference
from ippools import relay_servers, routing_rules
from ippools.addresses import NewAddress, create_many
from ippools.blocklists import create as create_blocklist
from ippools.models import (
    AddressCap,
    AddressDrain,
    AddressIdentity,
    Blocklist,
    FormerAddressName,
    IPAddress,
    IPPool,
    IPPoolMember,
    Listing,
    RelayServer,
    RoutingRule,
    VirtualMTA,
    WarmUp,
)
from ippools.routing_rules import TargetFields
from nodes import publishing
from nodes.models import Node, NodeAddress, NodeReport
from servers import webhooks
from servers.models import (
    Credential,
    Domain,
    FormerPermalink,
    Invitation,
    IPPoolRule,
    Membership,
    Organization,
    Route,
    SendLimitMark,
    Server,
    Webhook,
)
from stats.intake.event_sources import make_source
from stats.intake.reply_rules import create_rule as create_reply_rule
from stats.intake.tokens import make_ingest_token
from stats.models import EventSource, IngestToken, Sender, SenderDomain, SourceMapping
from suppressions.models import Suppression, SuppressionList
from tests.alerts.factories import AlertFactory, ChannelFactory, MessageFactory, NoticeFactory
from tests.benchmarks.grown import PAGE, Rows, execute
from tests.benchmarks.panel_counts import count
from tests.factories import CircuitFactory, DeliveryFactory
from throttling import templates
from throttling.drafts import RuleFields
from throttling.models import ThrottleProgram, ThrottlingTemplate, WarmUpPlan
from webhooks.models import Circuit, Delivery

SYSTEM = Actor.system()
LIMITS = {"max_concurrent_connections": 5, "max_messages_per_hour": 500}
A_BATCH, ADDRESSES_A_POOL = 5_000, 10


@dataclass(frozen=True)
class Size:
    """How many of each there are."""

    organizations: int
    servers: int
    addresses: int


# One page of each, all of them the demo's own.
FULL = Size(PAGE, PAGE, 2 * PAGE)
STEADY = Size(PAGE, 2 * PAGE, 4 * PAGE)
LARGE = Size(200, 2_000, 5_000)
HUGE = Size(2_000, 20_000, 50_000)


def own_records() -> dict[type[Model], Model]:
    """Return the demo's records that are looked at, by model."""
    return {
        Organization: Organization.objects.get(permalink=cast.ORGANIZATIONS[0].permalink),
        Server: Server.objects.get(name="Newsletter Europe", organization__permalink="northwind"),
        Webhook: Webhook.objects.get(name="Operations"),
        IPPool: IPPool.objects.get(name="Newsletters"),
        IPAddress: IPAddress.objects.get(ipv4=cast.TROUBLED_ADDRESS),
    }


def steady_records() -> dict[type[Model], Model]:
    """Return the same of an organization that is as large at each size."""
    server = Server.objects.get(name="Alerts", organization__permalink="harbour")
    pool = IPPool.objects.get(name="Alerts")
    return {
        Organization: server.organization,
        Server: server,
        Webhook: Webhook.objects.filter(server=server).order_by("pk").first() or _webhook_of(server),
        IPPool: pool,
        IPAddress: IPAddress.objects.filter(memberships__pool=pool).order_by("pk")[0],
    }


def _webhook_of(server: Server) -> Webhook:
    return webhooks.create_webhook(server=server, name="Alerts", url="https://hooks.example/", actor=SYSTEM)


def enlarge(*, now: datetime.datetime, size: Size = LARGE, kept: Mapping[type[Model], int] | None = None) -> None:
    """Fill the platform up to the size; `kept` is what `counted` gave of the first one."""
    own = own_records()
    if not Job.objects.exists():
        _first_rows(own, now)
    _grow(Rows(own, all_own=size is FULL, kept=kept), size, now)
    if size is FULL:
        _grow(Rows(steady_records(), all_own=True, least=2 * PAGE), STEADY, now)
        publishing.publish(actor=SYSTEM, now=now)
    # As it does by itself after a minute.
    execute("VACUUM (ANALYZE)")


def counted() -> dict[type[Model], int]:
    """Return how many rows there are of each model that others hang on."""
    return {
        model: model._default_manager.count() for model in (Organization, Server, IPPool, IPAddress, Webhook, Channel)
    }


def _grow(rows: Rows, size: Size, now: datetime.datetime) -> None:
    before = {f"{name}_after": _last(model) for name, model in COUNTED.items()}
    spread = Rows({}, all_own=False)
    _tenants(rows, spread, size)
    _pools(rows, size)
    _servers(rows, size)
    _egress(rows, spread, size)
    _told(rows, size)
    count(now, **before)


COUNTED: dict[str, type[Model]] = {"servers": Server, "addresses": VirtualMTA, "domains": SenderDomain}


def _last(model: type[Model]) -> int:
    return int(model._default_manager.order_by("-pk").values_list("pk", flat=True)[0])


def _first_rows(own: dict[type[Model], Model], now: datetime.datetime) -> None:
    """Make one of each of what the demo has none of: the first row of a list may bring a query of its own."""
    user, organization, webhook, server = User.objects.earliest("pk"), own[Organization], own[Webhook], own[Server]
    address = own[IPAddress]
    Job.objects.create(kind="bulk", label="Pause delivery: 60 records", user_id=user.pk)
    ApiToken.objects.create(user=user, name="deploy", key_prefix="abcdef", key_digest="0" * 64)
    make_ingest_token(name="collector", actor=SYSTEM)
    source = make_source(name="mail log", format="postfix", actor=SYSTEM).source
    SourceMapping.objects.create(source=source, text="mta-first", server=server)
    create_reply_rule(pattern="nobody home", reason=1, actor=SYSTEM)
    Group.objects.create(name="Night shift")
    DeliveryFactory(webhook=webhook, created_at=now, state="delivered", due_at=None)
    CircuitFactory(webhook=webhook)
    channel = ChannelFactory(organization=organization)
    message = MessageFactory(channel=channel, state="sent", due_at=None)
    NoticeFactory(alert=AlertFactory(organization=organization), channel=channel, message=message)
    day = datetime.timedelta(days=1)
    Invitation.objects.create(
        organization=organization, role="analyst", username="first-friend", created_at=now, expires_at=now + 90 * day
    )
    FormerPermalink.objects.create(
        organization=organization, permalink="before-first", until=now - day, held_until=now + 90 * day
    )
    FormerAddressName.objects.create(name="before-first", address_id=address.pk, until=now)
    SendLimitMark.objects.create(
        server=server,
        period="day",
        level="approaching",
        limit=100,
        sent=95,
        began_at=now - day,
        until=now,
        ended_at=now,
    )
    blocklist = create_blocklist(name="bl.example", ranges="127.0.0.2", actor=SYSTEM)
    Blocklist.objects.filter(pk=blocklist.pk).update(zone_status="ok")
    Listing.objects.create(blocklist=blocklist, address=address, listing_status="ok")
    Report.objects.create(organization=organization, user=user, week_on=now.date() - 7 * day)
    SetAside.objects.create(
        audience="platform", key="first", label="First", is_hidden=False, until=now + 7 * day, by_label="petra"
    )


def _tenants(rows: Rows, spread: Rows, size: Size) -> None:
    each, of = size.organizations, {"organization": Organization}
    mine = {"organization_id": "organization.id"}
    spread.grow(Organization, each, name="'Tenant ' || n", permalink="'tenant-' || n")
    spread.grow(
        User, 3 * each, username="'person-' || n", email="'person-' || n || '@tenant.example'", is_superuser="false"
    )
    role = "(ARRAY['owner', 'operator', 'analyst'])[1 + n % 3]"
    rows.one_each(Membership, User, "user_id", of, role=role, **mine)
    rows.one_each(Report, User, "user_id", of, **mine)
    rows.one_each(SuppressionList, Organization, "organization_id", number="10000000")
    rows.grow(Invitation, each, of, username="'friend-' || n", **mine)
    rows.grow(FormerPermalink, each / 4, of, permalink="'before-' || n", **mine)
    rows.grow(ApiToken, each, {"person": User}, user_id="person.id", name="'token ' || n")
    rows.grow(Job, each, of, **mine)


def _pools(rows: Rows, size: Size) -> None:
    first = IPAddress.objects.count()
    template = ThrottlingTemplate.objects.get(name="Large providers")
    for start in range(first, size.addresses, A_BATCH):
        new = [
            NewAddress(
                ipv4=f"10.{88 + number // 62_500}.{number // 250 % 250}.{number % 250 + 1}",
                hostname=f"mx{number}.tenant.example",
                template=template,
            )
            for number in range(start, min(start + A_BATCH, size.addresses))
        ]
        create_many(new, actor=SYSTEM)
    rows.one_each(AddressIdentity, IPAddress, "ip_address_id")
    pools = size.addresses / ADDRESSES_A_POOL
    of = {"organization": Organization}
    rows.grow(IPPool, pools, of, namespace="organization.uuid", name="'Pool ' || n", is_default="false")
    # Who made a pool may use it.
    execute(
        "INSERT INTO servers_organizationpool (organization_id, pool_id, last_assigned_seq, created_at)"
        " SELECT organization.id, pool.id, 0, now() FROM ippools_ippool AS pool"
        " JOIN servers_organization AS organization ON organization.uuid = pool.namespace ON CONFLICT DO NOTHING"
    )
    rows.one_each(IPPoolMember, IPAddress, "ip_address_id", {"pool": IPPool}, pool_id="pool.id")


def _servers(rows: Rows, size: Size) -> None:
    each, of, mine = size.servers, {"server": Server}, {"server_id": "server.id"}
    rows.grow(
        Server, each, {"organization": Organization, "pool": IPPool}, name="'Server ' || n", permalink="'server-' || n",
        organization_id="organization.id", ip_pool_id="pool.id",
    )  # fmt: skip
    rows.grow(Credential, 2 * each, of, name="'Key ' || n", is_default="false", **mine)
    name = "'d' || n || '.tenant.example'"
    rows.grow(Domain, 2 * each, of, name=name, spf_status="CASE WHEN n % 50 = 0 THEN 'missing' ELSE 'ok' END", **mine)
    rows.grow(SenderDomain, each, of, name=name, **mine)
    rows.grow(Sender, 3 * each, of, name=f"'news@' || {name}", **mine)
    rows.grow(Route, each, of, name="'name' || n", mode="'accept'", endpoint="''", domain_id="NULL", **mine)
    rows.grow(SendLimitMark, each / 10, of, **mine)
    rule = {"position": "n", "to_conditions": "'d' || n || '.example'", "from_conditions": "''", "pool_id": "pool.id"}
    with_pool = {"pool": IPPool}
    rows.grow(IPPoolRule, each, {**of, **with_pool}, organization_id="NULL", **mine, **rule)
    rows.grow(
        IPPoolRule, 1.1 * each + PAGE, {"organization": Organization, **with_pool},
        organization_id="organization.id", server_id="NULL", **rule,
    )  # fmt: skip
    rows.grow(Webhook, each / 2, of, name="'Hook ' || n", **mine)
    rows.one_each(Circuit, Webhook, "webhook_id")
    rows.grow(
        Delivery, 5 * each, {"webhook": Webhook}, webhook_id="webhook.id", server_id="webhook.server_id",
        created_at="now() - n * interval '1 second'",
    )  # fmt: skip
    rows.grow(
        Suppression, 20 * each, of, organization_id="server.organization_id", number="1000 + n",
        masked="'p…' || n || '@recipient.example'", reason="(ARRAY['hard_bounce', 'complaint', 'manual'])[1 + n % 3]",
        **mine,
    )  # fmt: skip
    rows.grow(
        AuditEntry, 20 * each, of, act="'server.changed'", target_type="'servers.server'", target_id="server.id::text",
        target_label="server.name", organization_id="server.organization_id", at="now() - n * interval '1 second'",
    )  # fmt: skip


def _egress(rows: Rows, spread: Rows, size: Size) -> None:
    """Templates, VirtualMTAs of other kinds, nodes, and what happens to addresses."""
    each, of, mine = size.addresses, {"address": IPAddress}, {"address_id": "address.virtualmta_ptr_id"}
    for number in range(ThrottlingTemplate.objects.count(), max(PAGE, each // 100)):
        rule = RuleFields(domains=(f"r{number}.example",), throttle_program=None, **LIMITS)
        templates.create(actor=SYSTEM, name=f"Template {number}", rules=[rule], **LIMITS)
    for number in range(RelayServer.objects.count(), PAGE):
        relay_servers.create(
            actor=SYSTEM, name=f"Relay {number}", source_ip=f"203.0.113.{100 + number}", source_hostname="out.example.com",
            destination_hostname="relay.example.com", destination_port=25, **LIMITS,
        )  # fmt: skip
    way = [TargetFields(virtual_mta=Reference(name="Relay 9"), portion_of_mail=1)]
    for number in range(RoutingRule.objects.count(), PAGE):
        default = {"randomization_type": "random", "deliver_through": way}
        routing_rules.create(actor=SYSTEM, name=f"Split {number}", default=default, domain_overrides=[])
    for kind in (ThrottleProgram, WarmUpPlan):
        rows.grow(kind, PAGE, name="'Another ' || n", is_builtin="false")
    spread.grow(Node, each / 250, name="'mta-' || n")
    rows.one_each(NodeReport, Node, "node_id")
    rows.one_each(NodeAddress, IPAddress, "ip_address_id", {"node": Node}, node_id="node.id")
    listed = f"(n % 200 = 0 OR n <= {PAGE})"
    rows.one_each(
        Listing, IPAddress, "address_id", listing_status=f"CASE WHEN {listed} THEN 'invalid' ELSE 'ok' END",
        first_seen_at=f"CASE WHEN {listed} THEN now() - interval '2 days' END",
        last_seen_at=f"CASE WHEN {listed} THEN now() END",
    )  # fmt: skip
    rows.grow(FormerAddressName, each / 50, of, name="'before-' || n", **mine)
    cap = {
        "kind": "(ARRAY['manual', 'throttle_program'])[1 + n % 2]", "rule_id": "NULL", "is_default": "n % 2 = 1",
        "domains": "'[]'", "percent_of_messages": "NULL", "percent_of_connections": "NULL",
        "max_messages_per_hour": "100", "began_at": "now() - n * interval '1 second'", "until": "NULL", **mine,
    }  # fmt: skip
    drain = {"effect": "'told'", "began_at": "now() - n * interval '1 second'", **mine}
    for model, columns in ((AddressCap, cap), (AddressDrain, drain), (WarmUp, {**mine, "is_warm": "false"})):
        # Those that last are of as many addresses; those that are over, of the one that is looked at, too.
        spread.grow(model, each / 50 + PAGE, of, **columns, ended_at="NULL")
        rows.grow(model, each / 25 + 2 * PAGE, of, **columns, ended_at="now()")


def _told(rows: Rows, size: Size) -> None:
    """Sources, alerts and what was sent of them."""
    rows.grow(EventSource, size.servers / 200, name="'Source ' || n")
    rows.grow(IngestToken, size.servers / 200, name="'Collector ' || n")
    rows.grow(
        SourceMapping, size.servers / 2, {"source": EventSource, "server": Server}, text="'mta-' || n",
        source_id="source.id", server_id="server.id",
    )  # fmt: skip
    of, mine = {"organization": Organization}, {"organization_id": "organization.id"}
    rows.grow(
        Alert, 2 * size.servers, of, key="'grown:' || n", ended_at="CASE WHEN n % 20 <> 1 THEN now() END", **mine
    )  # fmt: skip
    rows.grow(Channel, size.organizations, of, name="'Channel ' || n", **mine)
    rows.grow(Message, 10 * size.organizations, {"channel": Channel}, channel_id="channel.id", report_id="NULL")
    rows.one_each(
        Notice,
        Alert,
        "alert_id",
        {"channel": Channel, "message": Message},
        channel_id="channel.id",
        message_id="message.id",
    )
    rows.grow(SetAside, size.organizations, key="'grown:' || n")
