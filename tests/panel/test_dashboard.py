"""The front page: whose numbers it shows, what it says needs attention, and what it costs."""

import datetime

import pytest
import time_machine
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

import alerts.scope
from core.models import AuditEntry, SetAside
from ippools import pausing
from ippools.addresses import NewAddress, create_many
from ippools.caps import begin as begin_cap
from ippools.models import AddressIdentity
from panel.dashboard import front_page
from panel.tasks import keep_sums_of_front_page
from servers.pools import add_members, grant_pool
from servers.provisioning import change_server, create_server, suspend_organization, suspend_server
from stats import send_limits
from stats.counts import buckets
from stats.counts.buckets import Grain
from stats.intake.directory import Reporter
from stats.intake.ingest import ingest
from stats.models import AddressCount, Batch, PlatformCount, Provider, ProviderCount, ServerCount
from tests.panel.conftest import NOW, SYSTEM, furnished, make_person, sign_in
from throttling.limits import CapKind

HOUR = datetime.timedelta(hours=1)
DAY = datetime.timedelta(days=1)


@pytest.fixture(autouse=True)
def at_noon():
    with time_machine.travel(NOW, tick=False):
        yield


def count(tenant, at, *, provider="Gmail", **counts):
    """Count as the fold does, in the tiers that the page reads."""
    day, provider_id = buckets.day_of(at), Provider.objects.get(name=provider).pk
    for grain, bucket in ((Grain.HOUR, buckets.hour_of(at)), (Grain.DAY, day), (Grain.TOTAL, 0)):
        add(ServerCount, {"grain": grain, "bucket": bucket, "server_id": tenant.server.pk}, counts)
        if grain != Grain.TOTAL:
            add(PlatformCount, {"grain": grain, "bucket": bucket}, counts)
    add(AddressCount, {"grain": Grain.DAY, "bucket": day, "address_id": tenant.address.pk}, counts)
    key = {"grain": Grain.DAY, "bucket": day, "address_id": tenant.address.pk, "provider_id": provider_id}
    add(ProviderCount, key, counts)


def add(model, key, counts):
    row = model.objects.filter(**key).first() or model(**key)
    for kind, number in counts.items():
        setattr(row, kind, getattr(row, kind) + number)
    row.save()


def page(user):
    cache.clear()
    response = sign_in(user).get(reverse("admin:index"))
    assert response.status_code == 200
    return response


def texts(response):
    return [(each.item.level, each.item.text, each.item.detail) for each in response.context["attention"]]


def test_it_shows_today_against_yesterday_at_the_same_time(acme, platform):
    # It is 10:30: of yesterday count ten hours and half of the eleventh.
    count(acme, NOW - 2 * HOUR, sent=300, deferred=10)
    count(acme, NOW, sent=50, bounced=4)
    count(acme, NOW - DAY - HOUR, sent=200, deferred=40)
    count(acme, NOW - DAY, sent=100, deferred=10)
    count(acme, NOW - DAY + 5 * HOUR, sent=9_999)
    shown = page(platform.superuser).context["today"]
    assert [(each["name"], each["number"], each["change"], each["tone"]) for each in shown] == [
        ("sent", "350", "+40 %, 250 by now yesterday", "even"),
        ("deferred", "10", "−78 %, 45 by now yesterday", "good"),
        ("bounced", "4", "0 by now yesterday", "even"),
        ("share", "96.2 %", "84.7 % yesterday", "good"),
    ]


def test_each_person_sees_the_numbers_of_their_organizations(acme, globex, platform):
    count(acme, NOW, sent=1_111)
    count(globex, NOW, sent=2_222)
    own = page(acme.analyst)
    assert own.context["today"][0]["number"] == "1,111"
    assert own.context["daily"]["series"][0]["total"] == 1_111
    assert [row["name"] for row in own.context["busiest"]] == ["Acme server"]
    assert [row["name"] for row in own.context["loads"]] == ["Acme pool"]
    assert [row["label"] for row in own.context["grid"]["rows"]] == ["192.0.2.1"]
    assert "lobex" not in own.content.decode()
    assert "2,222" not in own.content.decode()
    assert page(platform.superuser).context["today"][0]["number"] == "3,333"
    assert page(platform.staff).context["today"][0]["number"] == "3,333"


def test_what_one_tenant_was_shown_is_not_shown_to_the_next(acme, globex):
    count(acme, NOW, sent=1_111)
    count(globex, NOW, sent=2_222)
    # Without clearing the cache between.
    first = sign_in(acme.owner).get(reverse("admin:index"))
    second = sign_in(globex.owner).get(reverse("admin:index"))
    assert first.context["today"][0]["number"] == "1,111"
    assert second.context["today"][0]["number"] == "2,222"


def test_the_platforms_sums_that_take_long_are_added_up_by_a_worker(acme, platform, monkeypatch):
    monkeypatch.setattr(alerts.scope, "AT_ONCE", datetime.timedelta())
    count(acme, NOW, sent=1_111)
    assert page(platform.staff).context["today"][0]["number"] == "1,111"
    count(acme, NOW, sent=1_111)
    keep_sums_of_front_page()
    for each, name in ((front_page, "_sums"), (front_page.conditions, "found")):
        monkeypatch.setattr(each, name, None)
    shown = sign_in(platform.staff).get(reverse("admin:index"))
    assert shown.context["today"][0]["number"] == "2,222"


def test_it_names_what_needs_attention_and_links_to_where_it_is_mended(acme, globex, platform):
    count(acme, NOW, sent=30, deferred=90, bounced=20)
    count(acme, NOW, provider="Yahoo", sent=500)
    AddressIdentity.objects.create(ip_address=acme.address, ptr_status="missing", helo_status="ok")
    count(globex, NOW, provider="Yahoo", sent=5_000)
    other = furnished("Initech", "203.0.113.99")
    count(other, NOW, provider="Yahoo", sent=20)
    until = NOW + 3 * DAY
    suspend_server(server=globex.server, reason="Spam", at=NOW - HOUR, until=until, actor=SYSTEM)
    acme.address.delivery_paused = True
    acme.address.save()
    acme.domain.spf_status, acme.domain.dkim_status = "missing", "ok"
    acme.domain.save()
    Batch.objects.create(
        received_at=NOW - HOUR, event_count=7, least_key="0" * 32, greatest_key="0" * 31 + "1", folded_at=None
    )
    shown = page(platform.superuser)
    assert texts(shown) == [
        (
            "bad",
            "No address of Acme pool sends: Acme’s 1 server sends nothing",
            "Its addresses are paused, or it has none",
        ),
        (
            "bad",
            "Delivery problems of address 192.0.2.1: Gmail accepts 21\N{NO-BREAK SPACE}% of the attempts",
            "90 deferred and 20 bounced in 7 days; the other providers accept 100\N{NO-BREAK SPACE}%. In DNS: PTR missing",
        ),
        (
            "bad",
            "Pool Globex pool is overloaded: 9.4 times the median load",
            "Its one address sent 5,000 messages in 7 days: add addresses, or move servers to other pools",
        ),
        ("bad", "7 events wait to be counted, the oldest for 60 minutes.", ""),
        ("bad", "acme.example fails its DNS checks", "SPF missing; server Acme server"),
        ("warn", "Server Globex server of Globex is suspended", "Spam; until 21 November"),
        ("note", "192.0.2.1 is paused", "It sends no mail"),
    ]
    client = sign_in(platform.superuser)
    for item in [each.item for each in shown.context["attention"]]:
        assert client.get(item.url.partition("#")[0]).status_code == 200
    assert shown.context["attention"][1].item.url.endswith("#provider-gmail")


def test_people_see_only_their_own_trouble(acme, globex):
    suspend_server(server=globex.server, reason="Spam", at=NOW - HOUR, actor=SYSTEM)
    Batch.objects.create(
        received_at=NOW - HOUR, event_count=7, least_key="0" * 32, greatest_key="0" * 31 + "1", folded_at=None
    )
    assert texts(page(acme.owner)) == []
    assert texts(page(globex.owner)) == [("warn", "Server Globex server of Globex is suspended", "Spam")]


def test_live_servers_that_can_send_nothing_come_first_by_pool_and_by_customer(acme, globex, platform):
    change_server(server=globex.server, ip_pool=None, actor=SYSTEM)
    grant_pool(organization=globex.organization, pool=acme.pool, actor=SYSTEM)
    for name in ("One", "Two"):
        create_server(organization=globex.organization, name=name, pool=acme.pool, actor=SYSTEM)
    create_server(organization=acme.organization, name="Held", mode="development", actor=SYSTEM)
    assert [text for level, text, _ in texts(page(platform.superuser)) if level == "bad"] == [
        "Globex’s 1 live server has no IP pool"
    ]
    pausing.pause(acme.address.pk, reason="Listed.", until=NOW + DAY, at=NOW, actor=SYSTEM)
    shown = page(platform.superuser)
    assert texts(shown) == [
        (
            "bad",
            "No address of Acme pool sends: Globex’s 2 servers and Acme’s 1 server send nothing",
            "Its addresses are paused, or it has none",
        ),
        (
            "bad",
            "Globex’s 1 live server has no IP pool",
            "Mail that no pool rule matches is not sent",
        ),
        ("note", "192.0.2.1 is paused", "Listed; until 19 Nov 2026, 10:30"),
    ]
    # Each person reads of their own servers only.
    assert texts(page(acme.owner))[0][1] == "No address of Acme pool sends: Acme’s 1 server sends nothing"
    [servers] = sign_in(platform.superuser).get(shown.context["attention"][1].item.url).context["cl"].result_list
    assert servers == globex.server


def test_many_of_a_kind_are_one_line_that_leads_to_a_list_of_just_these(platform):
    tenants = [furnished(f"Tenant{number}", f"203.0.113.{100 + number}") for number in range(6)]
    for tenant in tenants:
        suspend_server(server=tenant.server, reason="Spam", at=NOW - HOUR, actor=SYSTEM)
        suspend_organization(organization=tenant.organization, reason="Unpaid", at=NOW - HOUR, actor=SYSTEM)
        pausing.pause(tenant.address.pk, reason="Listed", until=None, at=NOW, actor=SYSTEM)
        tenant.domain.spf_status = "missing"
        tenant.domain.save()
    client, shown = sign_in(platform.superuser), page(platform.superuser)
    found = {each.item.text: each.item for each in shown.context["attention"]}
    assert list(found) == [
        "No address of 6 pools sends: 6 servers send nothing",
        "6 domains fail their DNS checks",
        "6 organizations are suspended",
        "6 servers are suspended",
        "6 addresses are paused",
    ]
    for item in found.values():
        assert client.get(item.url).context["cl"].result_count == 6, item.text


def set_aside(client, shown, do):
    return client.post(reverse("admin:alerts"), {"alert": shown.token, "do": do})


def test_an_alert_is_snoozed_acknowledged_and_shown_again(acme, platform):
    pausing.pause(acme.address.pk, reason="Listed", until=None, at=NOW, actor=SYSTEM)
    client = sign_in(platform.staff)
    silent, paused = page(platform.staff).context["attention"]
    assert set_aside(client, paused, "4").status_code == 302
    assert set_aside(client, silent, "acknowledge").status_code == 302
    context = page(platform.superuser).context
    assert context["attention"] == []
    assert [(each.item.text, each.aside.by_label) for each in context["acknowledged"]] == [(silent.item.text, "staff")]
    [snoozed] = context["snoozed"]
    assert (snoozed.item.text, snoozed.aside.until) == (paused.item.text, NOW + 4 * HOUR)
    trail = list(AuditEntry.objects.order_by("-pk").values_list("act", "target_label", "actor_label")[:2])
    assert trail == [
        ("set_aside.acknowledged", silent.item.text, "staff"),
        ("set_aside.snoozed", paused.item.text, "staff"),
    ]
    # A customer's people see their own alerts whatever the platform's staff has set aside, and the other way round.
    assert len(page(acme.owner).context["attention"]) == 2
    assert set_aside(client, silent, "again").status_code == 302
    assert [each.item for each in page(platform.superuser).context["attention"]] == [silent.item]
    with time_machine.travel(NOW + 4 * HOUR, tick=False):
        # A node that was published to hours ago, and has not reported, is there by then too.
        assert [text for _, text, _ in texts(page(platform.superuser))] == [
            silent.item.text,
            "Node mta1 has never reported",
            paused.item.text,
        ]


def test_nobody_writes_alerts_of_their_own(acme, platform):
    client = sign_in(acme.owner)
    for token in ("", "x", "W10:abc:def"):
        response = client.post(reverse("admin:alerts"), {"alert": token, "do": "4"}, follow=True)
        assert "The alert could not be found." in response.content.decode()
    assert client.get(reverse("admin:alerts")).status_code == 405
    assert not SetAside.objects.exists()


def test_idle_addresses_do_not_make_a_pool_look_lighter(acme, globex, platform):
    count(acme, NOW, sent=700)
    count(acme, NOW - DAY, sent=300)
    count(globex, NOW, sent=50)
    before = {load["name"]: load["per_address"] for load in page(platform.superuser).context["loads"]}
    assert before == {"Acme pool": 1000, "Globex pool": 50, "Shared": 0}
    rows = [NewAddress(ipv4=f"203.0.113.{number}", hostname="h.example.com") for number in range(20, 40)]
    add_members(
        pool=acme.pool, addresses=create_many(rows, actor=SYSTEM), actor=SYSTEM, organization_id=acme.organization.pk
    )
    after = {load["name"]: load["per_address"] for load in page(platform.superuser).context["loads"]}
    assert after == before


def test_an_empty_platform_says_what_to_do_first(db):
    root = make_person("root", is_superuser=True)
    steps = page(root).context["steps"]
    assert [(step.title, step.is_done, bool(step.url)) for step in steps] == [
        ("Create an organization", False, True),
        ("Create a pool and add addresses", False, True),
        ("Create a server", False, True),
        ("Report the first event", False, True),
    ]


def test_the_steps_go_away_one_by_one(acme, platform):
    assert [step.is_done for step in page(acme.owner).context["steps"]] == [True, True, True, False]
    count(acme, NOW, sent=1)
    assert page(acme.owner).context["steps"] == []


def test_it_offers_no_step_that_the_person_may_not_take(acme):
    first = page(acme.analyst).context["steps"]
    assert [(step.url, step.is_done) for step in first if not step.is_done] == [
        (reverse("admin:servers_server_changelist"), False)
    ]


def test_it_costs_the_same_number_of_queries_however_large_the_platform_is(acme, globex, platform):
    count(acme, NOW, sent=1_111)
    people = (platform.superuser, platform.staff, acme.operator)
    before = {person.username: queries(person) for person in people}
    assert max(before.values()) <= 20
    for number in range(12):
        tenant = furnished(f"Tenant{number}", f"203.0.113.{100 + number}")
        count(tenant, NOW, sent=100 * number, deferred=50)
        suspend_server(server=tenant.server, reason="Spam", at=NOW - HOUR, actor=SYSTEM)
        tenant.address.delivery_paused = True
        tenant.address.save()
    assert {person.username: queries(person) for person in people} == before


def queries(person):
    client = sign_in(person)
    cache.clear()
    with CaptureQueriesContext(
        connection,
    ) as captured:
        assert client.get(reverse("admin:index")).status_code == 200
    return len(captured)


def test_the_sums_are_kept_for_some_seconds(acme):
    count(acme, NOW, sent=1)
    client = sign_in(acme.owner)
    assert client.get(reverse("admin:index")).context["today"][0]["number"] == "1"
    count(acme, NOW, sent=1)
    assert client.get(reverse("admin:index")).context["today"][0]["number"] == "1"
    cache.clear()
    assert client.get(reverse("admin:index")).context["today"][0]["number"] == "2"


def test_the_grid_has_a_link_in_each_cell(acme, platform):
    count(acme, NOW, sent=90, deferred=10)
    count(acme, NOW, provider="T-Online", sent=10, bounced=30)
    grid = page(platform.superuser).context["grid"]
    url = reverse("admin:ippools_ipaddress_change", args=[acme.address.pk])
    assert grid["columns"] == ["Gmail", "T-Online"]
    assert [(cell["text"], cell["step"], cell["url"]) for cell in grid["rows"][0]["cells"]] == [
        ("90 %", "3", f"{url}#provider-gmail"),
        ("25 %", "0", f"{url}#provider-t-online"),
    ]


def test_refused_events_are_named_to_whose_they_are(acme, globex, platform):
    bad = [{"id": str(number), "type": "exploded", "at": NOW.isoformat()} for number in range(3)]
    ingest([*bad, {"id": "x", "type": "sent"}], reporter=Reporter(acme.server), now=NOW)
    ingest(bad, reporter=Reporter(), now=NOW - DAY)
    # Older ones are nobody's worry.
    ingest(bad, reporter=Reporter(globex.server), now=NOW - 2 * DAY)
    where = "today and yesterday"
    own = ("warn", "4 events of Acme server were refused", f"3 × unknown_type, 1 × invalid_at, {where}")
    others = ("warn", "3 events of an ingest token or file were refused", f"3 × unknown_type, {where}")
    assert texts(page(platform.superuser)) == [own, others]
    assert texts(page(acme.analyst)) == [own]
    assert texts(page(globex.owner)) == []


def test_it_names_the_servers_that_are_near_to_a_send_limit(acme, globex):
    change_server(server=acme.server, send_limit=100, send_limit_a_day=1_000, actor=SYSTEM)
    change_server(server=globex.server, send_limit=10, actor=SYSTEM)
    count(acme, NOW, sent=92)
    count(globex, NOW, sent=10)
    send_limits.decide(now=NOW)
    assert texts(page(acme.owner)) == [
        ("warn", "Server Acme server of Acme: send limit at 92\N{NO-BREAK SPACE}%", "92 of 100 messages an hour sent")
    ]
    [item] = [each for each in texts(page(globex.owner)) if "limit" in each[1]]
    assert item == (
        "bad",
        "Server Globex server of Globex: send limit reached: mail deferred until 11:00 UTC",
        "10 of 10 messages an hour sent",
    )
    for tenant, word in ((acme, "at 92"), (globex, "reached: mail deferred until 11:00 UTC")):
        url = reverse("admin:servers_server_change", args=[tenant.server.pk])
        assert word in sign_in(tenant.analyst).get(url).content.decode()


def test_it_names_the_addresses_that_back_off(acme, globex, platform):
    begin_cap(
        address_id=acme.address.pk, kind=CapKind.THROTTLE_PROGRAM, rule_id=0, at=NOW, actor=SYSTEM,
        until=NOW + HOUR, max_messages_per_hour=12, reason="45 of 60 attempts were deferred",
    )  # fmt: skip
    for person in (acme.analyst, platform.superuser):
        [item] = [each for each in texts(page(person)) if "backs off" in each[1]]
        assert (item[0], item[2]) == ("warn", "45 of 60 attempts were deferred")
        assert item[1].startswith("192.0.2.1 backs off for domains that no rule matches since ")
    assert not [each for each in texts(page(globex.owner)) if "backs off" in each[1]]
    with time_machine.travel(NOW + HOUR, tick=False):
        assert not [each for each in texts(page(acme.owner)) if "backs off" in each[1]]
