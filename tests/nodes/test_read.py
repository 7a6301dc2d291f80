"""The policy of a node, cut out of the platform's rows."""

import orjson
import pytest
from django.db import OperationalError

from ippools import warm_ups
from ippools.models import IPAddress
from nodes.policy import documents
from nodes.policy.layout import refusal_of
from nodes.policy.model import (
    DEFAULT_POOL,
    NodeIdentity,
    Policy,
    Pool,
    PoolRule,
    Program,
    Route,
    RouteOverride,
    Source,
    Table,
    Target,
    Tenant,
    VirtualMTA,
)
from nodes.policy.read import read_overlay
from servers.models import Server
from servers.pool_rules import create_rule
from servers.pools import grant_pool
from servers.provisioning import suspend_organization
from stats.warm_up import decide
from tests.cast import ANN, NOW, SYSTEM, make_server
from tests.factories import (
    DeliveryTargetFactory,
    DomainOverrideFactory,
    IPAddressFactory,
    NodeAddressFactory,
    OverrideDomainFactory,
    RelayServerFactory,
    RoutingRuleFactory,
)
from tests.nodes.platform import read_policy, rule
from tests.words import ip_addresses
from throttling.limits import LimitRule
from throttling.models import Rule, ThrottleProgram, ThrottlingTemplate, WarmUpPlan

pytestmark = pytest.mark.django_db


@pytest.mark.storage
def test_it_works(site, acme):
    program = ThrottleProgram.objects.get()
    ip_addresses.update(
        site.second.pk,
        {"rules_new": [{**rule(["yahoo.com"], 1, 2), "throttle_program": {"id": program.pk}}]},
        actor=ANN,
    )
    first, second = Rule.objects.order_by("pk")
    policy = read_policy(site.here.pk, revision=7)
    template = ThrottlingTemplate.objects.get().rules_id
    site.first.refresh_from_db()
    assert policy.node == NodeIdentity(site.here.pk, "here", "haraka")
    assert policy.revision == 7
    assert policy.sources == (
        Source(site.first.pk, "192.0.2.1", None, site.first.hostname, site.first.rules_id, template),
        Source(site.second.pk, "192.0.2.2", None, site.second.hostname, site.second.rules_id, template),
    )
    assert policy.virtual_mtas == (
        VirtualMTA(site.first.pk, "ip-192.0.2.1", "ip_address", 100),
        VirtualMTA(site.second.pk, "ip-192.0.2.2", "ip_address", 100),
    )
    assert policy.tables == (
        Table(template, (), 0, 0),
        Table(site.first.rules_id, (LimitRule(first.pk, ("gmail.com", "*.gmail.com"), 20, 12_000, None),), None, None),
        Table(site.second.rules_id, (LimitRule(second.pk, ("yahoo.com",), 1, 2, program.pk),), None, None),
    )
    assert policy.programs == (
        Program(program.pk, "Automatic Backoff", "percent", 25, "percent", 25, 3600, program.failure_rate,
                program.deferral_rate),
    )  # fmt: skip
    assert policy.pools == (Pool(site.shared.pk, "Shared", (site.first.pk, site.second.pk)),)
    assert policy.tenants == (
        Tenant(
            acme.server.pk, str(acme.server.uuid), "acme/transactional-server", acme.organization.pk, site.shared.pk
        ),
    )
    assert (policy.routes, policy.route_of) == ((), {})


@pytest.mark.storage
def test_what_is_stored_is_read_back(site):
    override = DomainOverrideFactory(routing_rule=RoutingRuleFactory())
    OverrideDomainFactory(override=override, pattern="[*.]example.com")
    DeliveryTargetFactory(routing_rule=override.routing_rule, override=override, virtual_mta=site.second)
    DeliveryTargetFactory(routing_rule=override.routing_rule, virtual_mta=site.first, portion_of_mail="0.25")
    IPAddress.objects.filter(pk=site.third.pk).update(redirect=override.routing_rule)
    policy = read_policy(site.here.pk)
    assert policy.routes == (
        Route(
            override.routing_rule_id,
            "random",
            (Target(site.first.pk, 2_500),),
            (RouteOverride(("[*.]example.com",), (Target(site.second.pk, 10_000),)),),
        ),
    )
    stored = documents.to_json(policy)
    again = documents.from_json(stored)
    assert again == policy
    assert documents.to_json(again) == stored
    assert documents.digest_of(again) == documents.digest_of(policy)


def test_the_rules_of_an_organization_are_stored_once():
    """They are those of each of its servers, of which there may be thousands."""
    shared = tuple(PoolRule(n, (), tuple(f"r{n}-{m}.example" for m in range(100)), 7) for n in range(10))
    own = (PoolRule(11, ("a@b.example",), (), 7), *shared)
    rules = {1: (), 2: own} | dict.fromkeys(range(3, 500), shared)
    policy = Policy(
        NodeIdentity(1, "mta1", "postfix"),
        3,
        tenants=tuple(Tenant(n, f"u{n}", f"acme/s{n}", 1, 7, each) for n, each in rules.items()),
    )
    stored = documents.to_json(policy)

    assert len(stored) < 200_000
    assert documents.from_json(stored) == policy
    assert documents.to_json(documents.from_json(stored)) == stored
    # As it was stored before.
    assert documents.from_json(orjson.dumps({"node": policy.node, "revision": 3, "tenants": policy.tenants})) == policy


@pytest.mark.storage
def test_it_follows_redirects_from_other_nodes(site, globex):
    # globex's own address is on the other node, and leads here.
    ip_addresses.update(site.third.pk, {"redirect": {"id": site.first.pk}}, actor=ANN)
    here, there = read_policy(site.here.pk), read_policy(site.there.pk)
    assert [tenant.name for tenant in here.tenants] == ["acme/transactional-server", "globex/globex-server"]
    assert [pool.name for pool in here.pools] == ["Shared", "Remote"]
    assert [mta.redirect for mta in here.virtual_mtas] == [None, None, site.first.pk]
    # The pool is known there, too, but nothing of it leaves from there.
    assert (there.sources, [pool.name for pool in there.pools]) == ((), ["Remote"])


def test_rules_of_pools_are_in_the_order_in_which_they_are_tried(site, acme):
    grant_pool(organization=acme.organization, pool=site.remote, actor=ANN)
    ours = create_rule(owner=acme.organization, pool=site.remote, to_conditions=["b.example"], actor=ANN)
    own = create_rule(owner=acme.server, pool=site.shared, from_conditions=["Ann+x@a.example", "a.example"], actor=ANN)
    [tenant] = read_policy(site.here.pk).tenants
    assert tenant.rules == (
        PoolRule(own.pk, ("ann@a.example", "a.example"), (), site.shared.pk),
        PoolRule(ours.pk, (), ("b.example",), site.remote.pk),
    )
    # By that rule acme has something on the other node as well; its own pool is named there, for nothing.
    theirs = read_policy(site.there.pk)
    assert [tenant.name for tenant in theirs.tenants] == ["acme/transactional-server", "globex/globex-server"]
    assert [pool.name for pool in theirs.pools] == ["Shared", "Remote"]


def test_a_server_without_a_pool_sends_by_the_default_virtual_mta(site, acme):
    make_server(acme.organization, "Poolless")
    # Without one it can only be refused, which the nodes of its organization do with a sentence.
    [_, poolless] = read_policy(site.here.pk).tenants
    assert (poolless.name, poolless.pool, refusal_of(poolless)) == ("acme/poolless", None, "This server has no IP pool")
    assert [tenant.name for tenant in read_policy(site.there.pk).tenants] == ["globex/globex-server"]
    relay = RelayServerFactory(redirect=site.second, is_default=True)
    policy = read_policy(site.here.pk)
    assert [(tenant.name, tenant.pool) for tenant in policy.tenants][1:] == [("acme/poolless", DEFAULT_POOL)]
    assert policy.pool_of[DEFAULT_POOL] == Pool(DEFAULT_POOL, "default VirtualMTA", (relay.pk,))


def test_deleted_servers_and_foreign_records_are_not_in_it(site, acme):
    Server.objects.filter(pk=acme.server.pk).update(deleted_at=NOW)
    IPAddressFactory()
    policy = read_policy(site.here.pk)
    assert policy.tenants == ()
    assert [source.ipv4 for source in policy.sources] == ["192.0.2.1", "192.0.2.2"]
    assert len(policy.virtual_mtas) == 2


def test_a_suspended_organization_suspends_its_servers(site, acme):
    suspend_organization(organization=acme.organization, reason="Spam", at=NOW, actor=ANN)
    overlay = read_overlay(virtual_mtas=[], servers={acme.server.pk: "acme/as-published"}, at=NOW)
    assert [(each.tenant, each.until) for each in overlay.suspended] == [("acme/as-published", None)]


def test_it_takes_the_same_queries_however_much_there_is(site, acme, django_assert_num_queries):
    with django_assert_num_queries(16):
        read_policy(site.here.pk)
    for number in range(5):
        ip_addresses.update(site.first.pk, {"rules_new": [rule([f"d{number}.example"], 1, 2)]}, actor=ANN)
        NodeAddressFactory(node=site.here)
        make_server(acme.organization, f"Server {number}")
    with django_assert_num_queries(16):
        read_policy(site.here.pk)


def test_a_pause_does_not_wait_for_counts_that_are_away(monkeypatch):
    """Whether a warmed-up address has used its part of the day is not known then; its hourly cap holds."""
    resting, paused = IPAddressFactory(), IPAddressFactory(delivery_paused=True)
    plan = WarmUpPlan.objects.order_by("pk")[0]
    warm_ups.begin(address_id=resting.pk, plan_id=plan.pk, on=NOW.date(), at=NOW, actor=SYSTEM)
    decide(now=NOW)

    def fail(*args):
        raise OperationalError("away")

    monkeypatch.setattr("stats.warm_up._attempts_today", fail)
    pks = [resting.pk, paused.pk]
    with pytest.raises(OperationalError):
        read_overlay(virtual_mtas=pks, servers={}, at=NOW)
    monkeypatch.setattr("nodes.policy.read.has_failed", lambda: True)
    overlay = read_overlay(virtual_mtas=pks, servers={}, at=NOW)
    assert (overlay.paused, overlay.resting) == ((paused.pk,), ())
    assert overlay.caps[resting.pk]
