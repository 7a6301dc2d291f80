"""The cast of the panel's tests: people of acme with every role, another tenant, the platform's staff, and records of all."""

import datetime
from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.test import Client
from django.utils import timezone

from alerts.models import Alert, Channel
from core.audit import Actor
from core.models import ApiToken, AuditEntry, Job, User
from ippools.blocklists import create as create_blocklist
from ippools.caps import begin as begin_cap
from ippools.drains import take as take_step
from ippools.models import IPAddress, IPPool, RelayServer, RoutingRule
from ippools.warm_ups import begin as begin_warm_up
from nodes.nodes import create_node
from nodes.publishing import publish
from servers.credentials import create_credential
from servers.invitations import invite
from servers.models import (
    Credential,
    Domain,
    FormerPermalink,
    Invitation,
    IPPoolRule,
    Membership,
    Organization,
    Route,
    Server,
    Webhook,
)
from servers.pools import create_platform_pool, create_pool
from servers.provisioning import create_organization, create_server
from servers.routes import create_route
from servers.webhooks import create_webhook
from stats.intake.event_sources import make_source
from stats.intake.reply_rules import create_rule as create_reply_rule
from stats.intake.tokens import make_ingest_token
from stats.models import Provider, RollupRun
from suppressions.acts import suppress
from suppressions.models import Suppression
from tests.alerts.factories import AlertFactory, ChannelFactory, NoticeFactory
from tests.factories import DeliveryFactory
from tests.words import ip_addresses, programs, relay_servers, routing_rules, templates
from throttling.drain import Effect, Step, TroubleKind
from throttling.limits import CapKind
from throttling.models import ThrottleProgram, ThrottlingTemplate, WarmUpPlan
from webhooks.models import Delivery

SYSTEM = Actor.system()
NOW = datetime.datetime(2026, 11, 18, 10, 30, tzinfo=datetime.UTC)
# OpenAlerts back for as long as there are tests.
HELD_UNTIL = NOW + datetime.timedelta(days=36_500)
PASSWORD = "correct horse battery"


@dataclass
class Furnished:
    """A tenant with one record of each kind."""

    organization: Organization
    server: Server
    credential: Credential
    domain: Domain
    webhook: Webhook
    route: Route
    pool: IPPool
    address: IPAddress
    rule: IPPoolRule
    delivery: Delivery
    alert: Alert
    channel: Channel
    suppression: Suppression
    invitation: Invitation
    owner: User
    operator: User
    analyst: User


def make_person(username: str, organization: Organization | None = None, role: str = "", **columns: Any) -> User:
    user = User.objects.create_user(username, password=PASSWORD, is_staff=True, **columns)
    if organization is not None:
        Membership.objects.create(user=user, organization=organization, role=role)
    return user


def furnished(name: str, ip: str) -> Furnished:
    """Make a tenant with one record of each kind."""
    organization = create_organization(at=timezone.now(), name=name, actor=SYSTEM)
    pool = create_pool(organization=organization, name=f"{name} pool", ips=[ip], actor=SYSTEM).pool
    server = create_server(organization=organization, name=f"{name} server", pool=pool, actor=SYSTEM).server
    domain = Domain.objects.create(
        server=server, name=f"{name.lower()}.example", verification_token="t", dkim_identifier="d", dkim_public_key="p"
    )
    rule = IPPoolRule.objects.create(server=server, pool=pool, to_conditions=f"{name.lower()}-rule.example")
    FormerPermalink.objects.create(
        permalink=f"{name.lower()}-before", organization=organization, until=NOW, held_until=HELD_UNTIL
    )
    channel = ChannelFactory(organization=organization, name=f"{name} alerts")
    alert = AlertFactory(organization=organization, text=f"{name} fails its DNS checks", key="domain_dns:/same")
    NoticeFactory(alert=alert, channel=channel)
    webhook = create_webhook(server=server, name=f"{name} hook", url="https://hook.example/", actor=SYSTEM)
    suppress(
        organization=organization, server=server, addresses=["roger@gmail.com"], reason="manual", at=NOW, actor=SYSTEM
    )
    invitation = invite(organization=organization, role="analyst", username=f"{name}-friend", at=NOW, actor=SYSTEM)
    # Open for as long as there are tests.
    Invitation.objects.filter(pk=invitation.pk).update(expires_at=HELD_UNTIL)
    return Furnished(
        organization=organization,
        server=server,
        suppression=organization.suppressions.get(),
        credential=create_credential(server=server, kind="api", name=f"{name} key", actor=SYSTEM).credential,
        domain=domain,
        webhook=webhook,
        alert=alert,
        channel=channel,
        delivery=DeliveryFactory(webhook=webhook, body='{"to":"bob@example.com"}'),
        route=create_route(server=server, name=f"{name.lower()}-info", mode="accept", actor=SYSTEM),
        pool=pool,
        address=IPAddress.objects.get(ipv4=ip),
        rule=rule,
        invitation=invitation,
        owner=make_person(f"{name}-owner", organization, "owner"),
        operator=make_person(f"{name}-operator", organization, "operator"),
        analyst=make_person(f"{name}-analyst", organization, "analyst"),
    )


@dataclass
class Platform:
    """What is nobody's but the platform's."""

    superuser: User
    staff: User
    template: ThrottlingTemplate
    program: ThrottleProgram
    relay: RelayServer
    routing_rule: RoutingRule
    address: IPAddress
    pool: IPPool
    alert: Alert
    channel: Channel


@pytest.fixture
def acme(db: None) -> Furnished:
    return furnished("Acme", "192.0.2.1")


@pytest.fixture
def globex(db: None) -> Furnished:
    return furnished("Globex", "198.51.100.1")


@pytest.fixture
def platform(db: None) -> Platform:
    superuser = make_person("root", is_superuser=True)
    staff = make_person("staff")
    staff.user_permissions.set(Permission.objects.exclude(codename__startswith="delete_"))
    rule = {"domains": ["mail.example"], "max_concurrent_connections": 5, "max_messages_per_hour": 50}
    template = templates.create(
        {
            "name": "Careful",
            "default": {"max_concurrent_connections": 10, "max_messages_per_hour": 100},
            "rules": [rule],
        },
        actor=SYSTEM,
    )
    limit = {"mode": "percent", "value": 30}
    program = programs.create(
        {
            "name": "Slow down",
            "backoff": {"max_concurrent_connections": limit, "max_messages_per_hour": limit, "return_after": 60},
            "triggers": {"failure_rate": 20},
        },
        actor=SYSTEM,
    )
    address = ip_addresses.create(
        {
            "name": "spare",
            "ipv4": "203.0.113.7",
            "hostname": "spare.example.com",
            "throttling_template": {"name": "Careful"},
        },
        actor=SYSTEM,
    )
    relay = relay_servers.create(
        {
            "name": "relay-1",
            "source_ip": {"ip": "203.0.113.8", "hostname": "out.example.com"},
            "destination": {"hostname": "relay.example.com", "port": 25, "username": None, "password": None},
            "throttle_limits": {"max_concurrent_connections": 5, "max_messages_per_hour": 50},
        },
        actor=SYSTEM,
    )
    target = {"virtual_mta": {"id": address.pk}, "portion_of_mail": 1}
    routing_rule = routing_rules.create(
        {"name": "split", "default": {"randomization_type": "random", "deliver_through": [target]}}, actor=SYSTEM
    )
    Group.objects.create(name="Night shift")
    make_ingest_token(name="collector", actor=SYSTEM)
    create_node(name="mta1", kind="postfix", addresses=[address.ipv4], actor=SYSTEM)
    publish(actor=SYSTEM, now=NOW)
    begin_cap(
        address_id=address.pk, kind=CapKind.MANUAL, reason="Too fast", at=NOW, actor=SYSTEM, max_messages_per_hour=100
    )
    begin_warm_up(
        address_id=address.pk, plan_id=WarmUpPlan.objects.order_by("pk")[0].pk, on=NOW.date(), at=NOW, actor=SYSTEM
    )
    take_step(
        Step(address.pk, Effect.TOLD, reason="Listed", kinds=(TroubleKind.LISTED,)), domains={}, at=NOW, actor=SYSTEM
    )
    take_step(Step(address.pk, None, reason="Well"), domains={}, at=NOW, actor=SYSTEM)
    create_blocklist(name="bl.example", ranges="127.0.0.2", actor=SYSTEM)
    make_source(name="mail log", format="postfix", actor=SYSTEM)
    create_reply_rule(pattern="nobody home", reason=1, actor=SYSTEM)
    ApiToken.objects.create(user=staff, name="deploy", key_prefix="abcdef", key_digest="0" * 64)
    RollupRun.objects.create(kind="fold", outcome="done", started_at=NOW, finished_at=NOW, events=3, rows=5)
    Job.objects.create(kind="bulk", label="Pause 3 addresses", user_id=superuser.pk)
    assert Provider.objects.exists()
    assert AuditEntry.objects.exists()
    return Platform(
        superuser=superuser,
        staff=staff,
        template=template,
        program=program,
        relay=relay,
        routing_rule=routing_rule,
        address=address,
        pool=create_platform_pool(name="Shared", actor=SYSTEM),
        alert=AlertFactory(),
        channel=ChannelFactory(),
    )


def sign_in(user: User | None) -> Client:
    client = Client()
    if user is not None:
        client.force_login(user)
    return client


@pytest.fixture
def root(platform: Platform) -> Client:
    return sign_in(platform.superuser)
