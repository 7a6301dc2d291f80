"""What conditions find in records and counts, with their numbers, and that they end at a lower threshold than they begin at."""

import datetime
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from alerts import conditions, evaluating
from alerts.measures import measure
from alerts.models import Alert
from alerts.scope import PLATFORM
from alerts.topics import disk
from core.audit import Actor
from core.models import AuditEntry
from ippools.models import AddressIdentity, WarmUp, WarmUpDay
from nodes.models import NodeReport, Publication
from servers.models import Server
from stats.counts import buckets
from stats.counts.buckets import Grain
from stats.models import AddressCount, ProviderCount
from tests.alerts.factories import AlertFactory
from tests.alerts.looks import NBSP, change, found, opened, with_habit
from tests.factories import (
    A_MOMENT,
    DomainFactory,
    IPAddressFactory,
    IPPoolFactory,
    IPPoolMemberFactory,
    NodeFactory,
    OrganizationFactory,
    OrganizationPoolFactory,
    RevisionFactory,
    ServerFactory,
    WebhookFactory,
)
from throttling.models import WarmUpPlan

pytestmark = [pytest.mark.storage, pytest.mark.django_db]
HOUR, DAY = datetime.timedelta(hours=1), datetime.timedelta(days=1)
SYSTEM = Actor.system()


# --- Nodes ------------------------------------------------------------------------------------------------------------


def node(name: str, *, minutes: int = 60, **report: Any) -> Any:
    """Return a node whose revision 5 was published so many minutes ago, with a report."""
    revision = RevisionFactory(
        number=5 + RevisionFactory._meta.model.objects.count(), created_at=A_MOMENT - minutes * HOUR / 60
    )
    made = NodeFactory(name=name, revision=revision)
    given = {"at": A_MOMENT, "revision_applied": revision.number, "overlay_applied": 0} | report
    NodeReport.objects.create(node=made, **given)
    return made


def test_nodes_that_are_silent_in_error_or_behind():
    node("well")
    node("late", at=A_MOMENT - 2.5 * HOUR)
    node("failing", error="postfix reload failed")
    node("drifting", body={"drift": ["/etc/postfix/main.cf", "/etc/postfix/x"]})
    node("behind", revision_applied=3)
    node("just published", minutes=4, revision_applied=3)
    never = NodeFactory(name="never", revision=RevisionFactory(number=99, created_at=A_MOMENT - HOUR))
    NodeFactory(name="unpublished")
    assert found("node_failing", "node_behind") == [
        ("bad", "Files of node drifting differ from its policy", "/etc/postfix/main.cf"),
        ("bad", "Node failing reports an error", "postfix reload failed"),
        ("bad", "Node late has been silent for 2 hours", ""),
        ("warn", "Node behind has not applied r9", "It applies r3"),
        ("warn", f"Node {never.name} has never reported", "Its agent is not running"),
    ]
    assert found("node_failing", "node_behind", organization=OrganizationFactory()) == []
    assert found("node_failing", named=2) == [("bad", "3 nodes are silent or report an error", "")]


def test_a_revision_that_was_rolled_back():
    by_hand = RevisionFactory(number=7, kind="rollback", repeats=5, actor_label="petra", created_at=A_MOMENT)
    Publication.objects.update_or_create(id=1, defaults={"revision": by_hand})
    stopped = "Automatic publication has stopped until a revision is published"
    assert found("revision_rolled_back") == [("note", "Revision r5 was published again as r7 by petra", stopped)]
    by_itself = RevisionFactory(number=8, kind="rollback", repeats=5, actor_label=SYSTEM.label, created_at=A_MOMENT)
    Publication.objects.update(revision=by_itself)
    AuditEntry.objects.create(
        act="revision.trial_failed",
        actor_kind=SYSTEM.kind,
        actor_label=SYSTEM.label,
        target_type="nodes.revision",
        target_id="1",
        target_label="r6",
        after={"failure": "Of 100 attempts on mta1 receivers accepted 50.0 %", "back_by": 8},
    )
    assert found("revision_rolled_back") == [
        (
            "warn",
            "Revision r5 was published again as r8 by itself",
            f"Of 100 attempts on mta1 receivers accepted 50.0 %. {stopped}",
        )
    ]
    assert found("revision_rolled_back", organization=OrganizationFactory()) == []
    Publication.objects.update(revision=RevisionFactory(number=9, created_at=A_MOMENT))
    assert found("revision_rolled_back") == []


# --- Addresses --------------------------------------------------------------------------------------------------------


def pooled(ipv4: str, organization: Any = None) -> Any:
    pool, address = IPPoolFactory(), IPAddressFactory(ipv4=ipv4)
    IPPoolMemberFactory(pool=pool, ip_address=address)
    if organization:
        OrganizationPoolFactory(organization=organization, pool=pool)
    return address


def test_a_warm_up_that_does_not_advance_is_told_until_it_does():
    acme, today = OrganizationFactory(), A_MOMENT.date()
    warming, held = pooled("192.0.2.1", acme), pooled("192.0.2.2", acme)
    plan = WarmUpPlan.objects.filter(is_builtin=True).first()
    warm_up = WarmUp.objects.create(address=warming, plan=plan, begins_on=today)
    locked = WarmUp.objects.create(address=held, plan=plan, begins_on=today, is_locked=True, lock_reason="Holiday")

    def decided(of: WarmUp, days_ago: int, change: str, number: int) -> None:
        on = today - datetime.timedelta(days=days_ago)
        WarmUpDay.objects.create(warm_up=of, on=on, number=number, cap=50, change=change, reason=f"{change} {number}")

    decided(locked, 0, "repeated", 1)
    decided(warm_up, 1, "advanced", 4)
    assert found("warm_up_repeated") == []
    decided(warm_up, 0, "repeated", 4)
    expected = [("warn", "The warm-up of 192.0.2.1 repeats day 4", "repeated 4")]
    assert found("warm_up_repeated", organization=acme) == expected
    assert found("warm_up_repeated") == expected
    assert found("warm_up_repeated", organization=OrganizationFactory()) == []
    decided(warm_up, -1, "went_back", 3)
    later = A_MOMENT + DAY
    assert found("warm_up_repeated", at=later) == [
        ("warn", "The warm-up of 192.0.2.1 goes back to day 3", "went_back 3")
    ]
    decided(warm_up, -2, "advanced", 4)
    assert found("warm_up_repeated", at=later + DAY) == []


def test_an_address_whose_identity_is_wrong_while_it_is_in_a_pool_and_sends():
    acme = OrganizationFactory()
    address = pooled("192.0.2.1", acme)
    for each in (address, IPAddressFactory(ipv4="192.0.2.9")):
        AddressIdentity.objects.create(ip_address=each, ptr_status="missing", fcrdns_status="ok", helo_status="invalid")
    expected = [("warn", "Address 192.0.2.1 fails its DNS checks", "PTR missing, HELO name invalid")]
    assert found("address_identity", organization=acme) == expected
    assert found("address_identity") == expected
    assert found("address_identity", organization=OrganizationFactory()) == []
    address.delivery_paused = True
    address.save()
    assert found("address_identity") == []


# --- Organizations ----------------------------------------------------------------------------------------------------


def test_a_domain_that_is_not_verified_in_a_day():
    domain = DomainFactory(name="a.example", server__name="News")
    # Made by the clock, which is later than the moment that is looked at.
    type(domain).objects.update(created_at=A_MOMENT)
    assert found("domain_unverified", at=A_MOMENT + DAY) == []
    at = A_MOMENT + DAY + HOUR
    assert found("domain_unverified", at=at) == [
        ("warn", "a.example is not verified", "It has not been checked; server News")
    ]
    type(domain).objects.update(verification_status="missing")
    assert found("domain_unverified", at=at, organization=domain.server.organization) == [
        ("warn", "a.example is not verified", "The record that verifies it is missing; server News")
    ]
    type(domain).objects.update(spf_status="missing")
    assert found("domain_unverified", at=at) == []
    assert len(found("domain_dns", at=at)) == 1


def test_quotas_that_are_used_to_nine_tenths():
    acme = OrganizationFactory(name="Acme", max_domains=20, max_webhooks=10, max_servers=3, max_addresses=1)
    server = ServerFactory(organization=acme)
    DomainFactory.create_batch(18, server=server)
    WebhookFactory.create_batch(8, server=server)
    deleted = ServerFactory(organization=acme, deleted_at=A_MOMENT)
    DomainFactory.create_batch(5, server=deleted)
    own = IPPoolFactory(namespace=acme.uuid)
    IPPoolMemberFactory(pool=own, ip_address=IPAddressFactory(ipv4="192.0.2.7"))
    addresses = (
        "warn",
        f"Acme has used 100{NBSP}% of its quota of IP addresses in its own pools",
        "1 of 1 IP addresses in its own pools",
    )
    domains = ("warn", f"Acme has used 90{NBSP}% of its quota of domains", "18 of 20 domains")
    assert found("quota", organization=acme) == [addresses, domains]
    assert found("quota") == [addresses, domains]
    assert found("quota", organization=OrganizationFactory()) == []
    # It ends below 85 %, where it is open; and does not begin there.
    server.domains.first().delete()
    assert found("quota") == [addresses]
    opened("quota", f"{change('servers_organization', acme.pk)}#quota-max_domains")
    assert found("quota") == [
        addresses,
        ("warn", f"Acme has used 85{NBSP}% of its quota of domains", "17 of 20 domains"),
    ]
    server.domains.first().delete()
    assert found("quota") == [addresses]


# --- The disk ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("free", "held", "level"),
    [(10, "", None), (9.9, "", "warn"), (1.9, "", "bad"), (11.9, "warn", "warn"), (12, "warn", None)],
)
def test_a_disk_is_low_below_a_tenth_and_well_a_little_above(free, held, level, settings):
    settings.SLUICE_DISK_WARNING = 10
    items = disk.of_space(int(free * 1024**3), 100 * 1024**3, "/admin/", held=held)
    assert [each.level for each in items] == ([level] if level else [])


def test_the_disk_of_an_embedded_installation_is_looked_at_for_the_platform_alone(settings):
    settings.SLUICE_DISK_WARNING, settings.IS_PRODUCTION = 100, False
    [(_, text, detail)] = found("disk_low")
    assert text.startswith("The disk of the data folder is ")
    assert detail.endswith(f"GiB are free in {settings.SLUICE_DATA_DIR}")
    assert found("disk_low", organization=OrganizationFactory()) == []
    settings.SLUICE_DISK_WARNING = 0
    assert found("disk_low") == []
    settings.SLUICE_DISK_WARNING, settings.IS_PRODUCTION = 100, True
    assert found("disk_low") == []


# --- All --------------------------------------------------------------------------------------------------------------


def test_a_provider_that_refuses_is_told_of_until_it_accepts_clearly_more():
    address, today = pooled("192.0.2.1"), buckets.day_of(A_MOMENT)
    AddressCount.objects.create(grain=Grain.DAY, bucket=today, address_id=address.pk, sent=72, deferred=28)
    ProviderCount.objects.create(
        grain=Grain.DAY, bucket=today, address_id=address.pk, provider_id=0, sent=72, deferred=28
    )
    assert found("address_refused") == []
    ProviderCount.objects.update(sent=69, deferred=31)
    [item] = conditions.found(PLATFORM, measure(PLATFORM, A_MOMENT, worst=4), A_MOMENT)
    AlertFactory(condition=item.condition, key=item.key, url=item.url)
    ProviderCount.objects.update(sent=74, deferred=26)
    assert len(found("address_refused")) == 1
    ProviderCount.objects.update(sent=75, deferred=25)
    assert found("address_refused") == []


def test_a_look_costs_the_same_number_of_queries_however_much_it_finds():
    acme = OrganizationFactory(max_domains=2)

    def queries(organization: Any) -> int:
        with CaptureQueriesContext(connection) as captured:
            evaluating.evaluate(organization=organization, at=A_MOMENT)
        Alert.objects.all().delete()
        # What is written for each alert that is found is left out.
        return sum(each["sql"].startswith("SELECT") for each in captured)

    def more(number: int) -> None:
        for _ in range(number):
            server = ServerFactory(organization=acme, suspended_at=None)
            with_habit(server, sent=300, complaint=2)
            DomainFactory(server=server, spf_status="missing")
            address = pooled(f"192.0.2.{Server.objects.count()}", acme)
            AddressIdentity.objects.create(ip_address=address, ptr_status="missing")
            node(f"node {Server.objects.count()}", error="no")

    more(1)
    for whose in (None, acme):
        queries(whose)
    before = [queries(whose) for whose in (None, acme)]
    more(6)
    assert [queries(whose) for whose in (None, acme)] == before
