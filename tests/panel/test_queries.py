"""No page makes more than twenty queries, and none makes more because there are more rows: every page that there is."""

import functools

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from core.models import ApiToken, AuditEntry, Job
from ippools.addresses import NewAddress, create_many
from ippools.blocklists import create as create_blocklist
from ippools.caps import begin as begin_cap
from ippools.drains import take as take_step
from ippools.warm_ups import begin as begin_warm_up
from nodes.nodes import create_node
from nodes.publishing import publish
from servers.credentials import create_credential
from servers.invitations import invite
from servers.models import Domain, FormerPermalink, Membership, OrganizationPool
from servers.pool_rules import create_rule
from servers.pools import add_members, create_pool
from servers.provisioning import create_organization, create_server
from servers.routes import create_route
from servers.webhooks import create_webhook
from stats.counts.buckets import Grain, day_of, hour_of, month_number
from stats.intake.event_sources import make_source
from stats.intake.reply_rules import create_rule as create_reply_rule
from stats.intake.tokens import make_ingest_token
from stats.models import AddressCount, PlatformCount, Provider, ProviderCount, RollupRun, ServerCount
from suppressions.acts import suppress
from tests.alerts.factories import AlertFactory, ChannelFactory, MessageFactory, NoticeFactory
from tests.factories import DeliveryFactory
from tests.panel.conftest import HELD_UNTIL, NOW, SYSTEM, make_person, sign_in
from tests.panel.urls import looks
from tests.words import ip_addresses, programs, relay_servers, routing_rules, templates
from throttling import warm_up_plans
from throttling.drain import Effect, Step, TroubleKind
from throttling.limits import CapKind

MOST = 20
# It reads the configuration of the whole platform, in 16 queries.
# Pages of deletion try the act and roll it back; that of a routing rule, with its parts, is the largest.
MORE = {"nodes_revision_publish": 30, "ippools_routingrule_delete": 26, "ippools_relayserver_delete": 21}
LIMITS = {"max_concurrent_connections": 1, "max_messages_per_hour": 1}
FEW, MANY = range(1), range(1, 13)


def grow(tenant, platform, numbers):
    """Give everything that a page could list more rows, on the tenant's own records and beside them."""
    server, organization = tenant.server, tenant.organization
    rows = [NewAddress(ipv4=f"10.9.0.{n + 1}", hostname="h.example.com") for n in numbers]
    addresses = create_many(rows, actor=SYSTEM)
    add_members(pool=tenant.pool, addresses=addresses, actor=SYSTEM, organization_id=organization.pk)
    for n, address in zip(numbers, addresses, strict=True):
        grow_tenant(tenant, platform, n)
        rule = {"domains": [f"m{n}.example"], **LIMITS}
        for each in (tenant.address, platform.address):
            ip_addresses.update(each.pk, {"rules_new": [rule]}, actor=SYSTEM)
        templates.update(platform.template.pk, {"rules_new": [rule]}, actor=SYSTEM)
        ip_addresses.update(address.pk, {"throttling_template": {"name": "Careful"}}, actor=SYSTEM)
        grow_platform(platform, n, address)
        for owner in (server, organization):
            create_rule(owner=owner, pool=tenant.pool, to_conditions=[f"m{n}.example"], actor=SYSTEM)
        count(server, address, n)


def grow_tenant(tenant, platform, n):
    server, organization = tenant.server, tenant.organization
    create_server(organization=organization, name=f"More {n}", pool=tenant.pool, actor=SYSTEM)
    create_credential(server=server, kind="smtp", name=f"More {n}", actor=SYSTEM)
    hook = create_webhook(server=server, name=f"More {n}", url="https://hook.example/", actor=SYSTEM)
    DeliveryFactory(webhook=hook)
    suppress(
        organization=organization, server=server, addresses=[f"m{n}@x.example"], reason="manual", at=NOW, actor=SYSTEM
    )
    channel = ChannelFactory(organization=organization)
    AlertFactory(organization=organization)
    NoticeFactory(alert=tenant.alert, channel=channel, message=MessageFactory(channel=tenant.channel))
    create_route(server=server, name=f"more{n}", mode="accept", actor=SYSTEM)
    create_pool(organization=organization, name=f"More {n}", ips=[], actor=SYSTEM)
    Domain.objects.create(server=server, name=f"more{n}.example", dkim_public_key="p", spf_status="missing")
    invite(organization=organization, role="analyst", username=f"more{n}-friend", at=NOW, actor=SYSTEM)
    person = make_person(f"more{n}")
    Membership.objects.create(user=person, organization=organization, role="analyst")
    other = create_organization(at=timezone.now(), name=f"More {n}", actor=SYSTEM)
    OrganizationPool.objects.create(organization=other, pool=tenant.pool)
    Membership.objects.create(user=tenant.analyst, organization=other, role="analyst")
    create_server(organization=other, name="Only", pool=tenant.pool, actor=SYSTEM)
    FormerPermalink.objects.create(permalink=f"before-{n}", organization=other, until=NOW, held_until=HELD_UNTIL)
    Job.objects.create(kind="bulk", label=f"More {n}", user_id=platform.superuser.pk)


def grow_platform(platform, n, address):
    target = {"virtual_mta": {"id": address.pk}, "portion_of_mail": 1}
    way = {"randomization_type": "random", "deliver_through": [target]}
    routing_rules.create({"name": f"more {n}", "default": way}, actor=SYSTEM)
    override = {"domains": [f"m{n}.example"], **way}
    routing_rules.update(platform.routing_rule.pk, {"domain_overrides_new": [override]}, actor=SYSTEM)
    relay_servers.create(
        {
            "name": f"more relay {n}",
            "source_ip": {"ip": f"203.0.113.{100 + n}", "hostname": "out.example.com"},
            "destination": {"hostname": "relay.example.com", "port": 25, "username": None, "password": None},
            "throttle_limits": LIMITS,
        },
        actor=SYSTEM,
    )
    rule = {"domains": [f"p{n}.example"], **LIMITS, "throttle_program": {"id": platform.program.pk}}
    template = templates.create({"name": f"More {n}", "default": LIMITS, "rules": [rule]}, actor=SYSTEM)
    programs.create(
        {
            "name": f"More {n}",
            "backoff": {name: {"mode": "percent", "value": 30} for name in LIMITS} | {"return_after": 60},
            "triggers": {"failure_rate": 20},
        },
        actor=SYSTEM,
    )
    assert template
    group = Group.objects.create(name=f"More {n}")
    group.permissions.set(Permission.objects.all()[: 5 + n])
    make_ingest_token(name=f"more {n}", actor=SYSTEM)
    ApiToken.objects.create(user=platform.staff, name=f"more {n}", key_prefix="abcdef", key_digest=f"{n}" * 32)
    RollupRun.objects.create(kind="fold", outcome="done", started_at=NOW, finished_at=NOW, events=3, rows=5)
    grow_operations(n, address)


def grow_operations(n, address):
    plan = warm_up_plans.create(name=f"More {n}", days=[100, 200], actor=SYSTEM)
    begin_warm_up(address_id=address.pk, plan_id=plan.pk, on=NOW.date(), at=NOW, actor=SYSTEM)
    begin_cap(
        address_id=address.pk, kind=CapKind.MANUAL, reason="Too fast", at=NOW, actor=SYSTEM, max_messages_per_hour=100
    )
    take_step(
        Step(address.pk, Effect.TOLD, reason="Listed", kinds=(TroubleKind.LISTED,)), domains={}, at=NOW, actor=SYSTEM
    )
    create_blocklist(name=f"bl{n}.example", ranges="127.0.0.2", actor=SYSTEM)
    create_node(name=f"more{n}", kind="postfix", addresses=[address.ipv4], actor=SYSTEM)
    publish(actor=SYSTEM, now=NOW)
    make_source(name=f"more {n}", format="postfix", actor=SYSTEM)
    create_reply_rule(pattern=f"nobody home {n}", reason=1, actor=SYSTEM)
    Provider.objects.create(name=f"More {n}").domains.create(pattern=f"p{n}.example")


def count(server, address, n):
    provider = Provider.objects.order_by("pk")[n % Provider.objects.count()]
    kinds = {"sent": 100 + n, "deferred": 100, "bounced": 50}
    for grain, bucket in (
        (Grain.HOUR, hour_of(NOW) - n),
        (Grain.DAY, day_of(NOW)),
        (Grain.MONTH, month_number(NOW.date())),
    ):
        ServerCount.objects.get_or_create(grain=grain, bucket=bucket, server_id=server.pk, defaults=kinds)
        PlatformCount.objects.get_or_create(grain=grain, bucket=bucket, defaults=kinds)
    AddressCount.objects.create(grain=Grain.DAY, bucket=day_of(NOW), address_id=address.pk, **kinds)
    key = {"grain": Grain.DAY, "bucket": day_of(NOW), "address_id": address.pk, "provider_id": provider.pk}
    ProviderCount.objects.create(**key, **kinds)


def rows_of_pages():
    """Return how many rows each model with a page has, by label."""
    return {model._meta.label_lower: model._default_manager.count() for model in admin.site._registry}


def queries_of(client, path):
    cache.clear()
    with CaptureQueriesContext(connection) as queries:
        response = client.get(path)
    assert response.status_code < 500, path
    return [each["sql"] for each in queries]


# An analyst sees what an owner sees, with fewer buttons.
@pytest.mark.parametrize("people", ["superuser owner", pytest.param("analyst", marks=pytest.mark.long)])
def test_every_page_makes_the_same_few_queries_however_many_rows_there_are(people, acme, platform, time_machine):
    time_machine.move_to(NOW)
    clients = {who: sign_in(platform.superuser if who == "superuser" else getattr(acme, who)) for who in people.split()}
    # Nothing is empty to begin with: the first row of a list may bring a query of its own.
    grow(acme, platform, FEW)
    # The record itself is looked at, and what hangs on it grows.
    cast = {
        "servers.server": acme.server,
        "ippools.ippool": acme.pool,
        "ippools.ipaddress": acme.address,
        "throttling.throttlingtemplate": platform.template,
        "throttling.throttleprogram": platform.program,
        "ippools.routingrule": platform.routing_rule,
    }

    @functools.cache
    def record_of(label):
        return cast.get(label) or apps.get_model(label)._default_manager.order_by("pk").first()

    paths = looks(record_of)

    def asked():
        return {
            (who, name): queries_of(client, path) for who, client in clients.items() for name, path in paths.items()
        }

    few = {page: len(found) for page, found in asked().items()}
    before = rows_of_pages()
    grow(acme, platform, MANY)
    same = sorted(label for label, number in rows_of_pages().items() if number == before[label])
    assert not same, f"add more rows of {same} in grow_tenant or grow_platform, above"
    many = {page: len(found) for page, found in asked().items()}
    assert {page: number for page, number in many.items() if number > MORE.get(page[1], MOST)} == {}
    assert {page: (few[page], number) for page, number in many.items() if number > few[page]} == {}
    assert len(paths) > 100
    assert AuditEntry.objects.count() > 100


def test_a_page_would_be_caught_that_asks_for_each_row(acme, platform, monkeypatch):
    """What the test above holds on to: a list whose rows each cost a query makes more with more rows."""
    from panel.pages.webhooks import WebhookAdmin

    client, path = sign_in(platform.superuser), reverse("admin:servers_webhook_changelist")
    monkeypatch.setattr(
        WebhookAdmin, "event_names", lambda self, record: str(apps.get_model("core.user").objects.count())
    )
    few = len(queries_of(client, path))
    grow_tenant(acme, platform, 1)
    assert len(queries_of(client, path)) > few
