"""An alert of many records leads to a list of just these: for every condition, for the platform and for a tenant."""

import dataclasses
import datetime
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from alerts import conditions
from alerts.conditions import CONDITIONS, TOPICS
from alerts.measures import measure
from alerts.scope import PLATFORM, of_organization
from core.audit import Actor
from ippools.models import AddressCap, AddressDrain, AddressIdentity, Blocklist, IPAddress, Listing, WarmUp, WarmUpDay
from nodes.models import NodeReport
from panel import alert_filter
from servers.models import Credential, Organization, SendLimitMark, Server
from stats.counts import buckets
from stats.counts.buckets import Grain
from stats.intake.event_sources import make_source
from stats.models import SourceCount
from tests.alerts.looks import count, with_habit
from tests.factories import (
    A_MOMENT,
    DomainFactory,
    IPAddressFactory,
    IPPoolFactory,
    IPPoolMemberFactory,
    MembershipFactory,
    NodeFactory,
    OrganizationFactory,
    OrganizationPoolFactory,
    RevisionFactory,
    ServerFactory,
    UserFactory,
)
from throttling.models import WarmUpPlan

pytestmark = [pytest.mark.storage, pytest.mark.django_db]
HOUR, DAY = datetime.timedelta(hours=1), datetime.timedelta(days=1)
_made: dict[str, Callable[[Any, int], Any]] = {}


def scene(make: Callable[[Any, int], Any]) -> Callable[[Any, int], Any]:
    """Register what makes one record that a condition finds, of an organization, the n-th."""
    _made[make.__name__] = make
    return make


def server(of: Organization, **more: Any) -> Server:
    return ServerFactory(organization=of, mode="live", ip_pool=sending_pool(of), **more)


def sending_pool(of: Organization) -> Any:
    found = of.organization_pools.first()
    if found is None:
        pool = IPPoolFactory(namespace=of.uuid)
        found = OrganizationPoolFactory(organization=of, pool=pool)
        IPPoolMemberFactory(pool=pool, ip_address=IPAddressFactory(ipv4=f"198.51.100.{of.pk % 250}"))
    return found.pool


def address(of: Organization, n: int, **more: Any) -> IPAddress:
    made = IPAddressFactory(ipv4=f"192.0.2.{n}", **more)
    IPPoolMemberFactory(pool=sending_pool(of), ip_address=made)
    return made


@scene
def pool_silent(of: Any, n: int) -> Any:
    pool = IPPoolFactory(namespace=of.uuid)
    OrganizationPoolFactory(organization=of, pool=pool)
    ServerFactory(organization=of, mode="live", ip_pool=pool)
    return pool


@scene
def server_without_pool(of: Any, n: int) -> Any:
    return ServerFactory(organization=of, mode="live")


@scene
def node_failing(of: Any, n: int, **report: Any) -> Any:
    revision = RevisionFactory(number=10 + n, created_at=A_MOMENT - HOUR)
    made = NodeFactory(name=f"node {n}", revision=revision)
    given = {"at": A_MOMENT, "revision_applied": 10 + n, "overlay_applied": 0, "error": "no"} | report
    NodeReport.objects.create(node=made, **given)
    return made


@scene
def node_behind(of: Any, n: int) -> Any:
    return node_failing(of, n, revision_applied=3, error="")


def source(n: int) -> Any:
    return make_source(name=f"Source {n}", format="native", actor=Actor.system()).source


@scene
def source_silent(of: Any, n: int) -> Any:
    made, hour = source(n), buckets.hour_of(A_MOMENT)
    for day in range(1, 8):
        for before in (1, 2, 3):
            SourceCount.objects.create(source=made, hour=hour - 24 * day - before, outcome="accepted", number=1)
    return made


@scene
def source_refused(of: Any, n: int) -> Any:
    made, hour = source(n), buckets.hour_of(A_MOMENT)
    SourceCount.objects.create(source=made, hour=hour, outcome="accepted", number=100)
    SourceCount.objects.create(source=made, hour=hour, outcome="refused", code="unknown_type", number=50)
    return made


@scene
def server_silent(of: Any, n: int) -> Any:
    made = server(of)
    with_habit(made)
    return made


@scene
def complaint_rate(of: Any, n: int) -> Any:
    made = server(of)
    count(made, Grain.DAY, buckets.day_of(A_MOMENT), sent=2_000, complaint=5 * n)
    return made


@scene
def organization_suspended(of: Any, n: int) -> Any:
    of = of if n == 1 else OrganizationFactory()
    Organization.objects.filter(pk=of.pk).update(suspended_at=A_MOMENT)
    return of


@scene
def quota(of: Any, n: int) -> Any:
    of = of if n == 1 else OrganizationFactory()
    Organization.objects.filter(pk=of.pk).update(max_servers=1, max_domains=1)
    # Two quotas of one organization are two lines, and one record of the list.
    DomainFactory(server=server(of))
    return of


@scene
def domain_dns(of: Any, n: int) -> Any:
    return DomainFactory(server=server(of), spf_status="missing", verified_at=A_MOMENT)


@scene
def domain_unverified(of: Any, n: int) -> Any:
    made = DomainFactory(server=server(of))
    type(made).objects.filter(pk=made.pk).update(created_at=A_MOMENT - 2 * DAY)
    return made


@scene
def server_suspended(of: Any, n: int) -> Any:
    return server(of, suspended_at=A_MOMENT, suspension_reason="Complaints")


@scene
def network_contested(of: Any, n: int) -> Any:
    return Credential.objects.create(
        server=server(of), kind="smtp_ip", name="Office", network=f"10.0.{n}.0/24", is_contested=True
    )


@scene
def send_limit(of: Any, n: int) -> Any:
    made = server(of)
    SendLimitMark.objects.create(
        server=made, period="day", level="approaching", limit=10, sent=9, began_at=A_MOMENT, until=A_MOMENT + HOUR
    )
    return made


@scene
def address_listed(of: Any, n: int) -> Any:
    made = address(of, n)
    Blocklist.objects.update_or_create(name="bl.example", defaults={"zone_status": "ok"})
    Listing.objects.create(
        blocklist=Blocklist.objects.get(name="bl.example"),
        address=made,
        listing_status="invalid",
        listed=made.ipv4,
        first_seen_at=A_MOMENT - 2 * HOUR,
        last_seen_at=A_MOMENT,
    )
    return made


@scene
def address_drained(of: Any, n: int) -> Any:
    made = address(of, n)
    AddressDrain.objects.create(
        address=made, effect="drained", kinds=["listed"], reason="No", began_at=A_MOMENT, drained_at=A_MOMENT
    )
    return made


@scene
def address_paused(of: Any, n: int) -> Any:
    return address(of, n, delivery_paused=True)


@scene
def back_off(of: Any, n: int) -> Any:
    made = address(of, n)
    AddressCap.objects.create(
        address=made, kind="throttle_program", max_messages_per_hour=10, reason="Deferrals", began_at=A_MOMENT - HOUR
    )
    return made


@scene
def address_identity(of: Any, n: int) -> Any:
    made = address(of, n)
    AddressIdentity.objects.create(ip_address=made, ptr_status="missing", fcrdns_status="ok", helo_status="ok")
    return made


@scene
def warm_up_repeated(of: Any, n: int) -> Any:
    made, today = address(of, n), A_MOMENT.date()
    plan = WarmUpPlan.objects.filter(is_builtin=True).first()
    warm_up = WarmUp.objects.create(address=made, plan=plan, begins_on=today)
    WarmUpDay.objects.create(warm_up=warm_up, on=today, number=1, cap=50, change="repeated", reason="Deferrals")
    return made


GROUPS = {group.condition for topic in TOPICS for group in topic.GROUPS}


def test_every_condition_of_many_records_has_its_list():
    """What has no group names each record, or a page that says what it is about."""
    assert _made.keys() == GROUPS
    others = {"address_refused", "pool_overloaded", "statistics", "events_refused", "revision_rolled_back", "disk_low"}
    assert CONDITIONS.keys() - GROUPS == others


@pytest.mark.parametrize("condition", sorted(GROUPS))
def test_its_link_leads_to_just_these_records(condition: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alert_filter, "timezone", SimpleNamespace(now=lambda: A_MOMENT))
    root, acme = UserFactory(is_staff=True, is_superuser=True), OrganizationFactory()
    owner = MembershipFactory(organization=acme, user__is_staff=True).user
    for number, other in enumerate(sorted(_made.keys() - {condition}), 100):
        # Records in every other trouble are not among them, nor are those of another tenant.
        _made[other](OrganizationFactory(), number)
    before = shown(condition, root, None)
    made = {_made[condition](acme, n).pk for n in (1, 2, 3)}
    assert made.isdisjoint(before)
    assert shown(condition, root, None) == made | before
    if not CONDITIONS[condition].is_platforms:
        its = {acme.pk} if condition in ("organization_suspended", "quota") else made
        assert shown(condition, owner, acme) == its


def shown(condition: str, user: Any, organization: Any) -> set[int]:
    """Follow the links of what a condition finds, where one record is named and more are one line; return what they show."""
    scope = dataclasses.replace(PLATFORM if organization is None else of_organization(organization), named=1)
    found = conditions.found(scope, measure(scope, A_MOMENT, worst=1), A_MOMENT)
    client, records = Client(), set()
    client.force_login(user)
    for url in {each.url for each in found if each.condition == condition}:
        if named := re.search(r"/(\d+)/change/", url):
            records.add(int(named[1]))
        else:
            assert f"?alert={condition}" in url
            answer = client.get(url)
            assert answer.status_code == 200
            records |= {each.pk for each in answer.context["cl"].result_list}
    return records


def test_an_unknown_condition_filters_nothing_and_a_tenant_has_none_of_the_platforms() -> None:
    client = Client()
    client.force_login(MembershipFactory(user__is_staff=True).user)
    listed = reverse("admin:servers_server_changelist")
    assert client.get(f"{listed}?alert=nothing").status_code == 200
    assert client.get(f"{reverse('admin:nodes_node_changelist')}?alert=node_failing").status_code == 403
