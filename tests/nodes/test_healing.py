"""Addresses in trouble are drained: what is read, what is written, and what nodes get."""

import datetime
import json
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from core.audit import Actor
from core.errors import Invalid, NotFound
from core.models import AuditEntry
from ippools import caps, drains, pausing, warm_ups
from ippools.models import AddressDrain, AddressIdentity, Blocklist, IPAddress, IPPool, Listing
from nodes.healing import Decided, decide
from nodes.policy.model import Rest
from nodes.policy.read import read_overlay
from servers.pools import add_members
from stats.counts import buckets
from stats.counts.buckets import Grain
from stats.models import Provider, ProviderCount
from tests import races
from tests.cast import ANN, NOW, SYSTEM, make_pool, make_tenant
from tests.factories import NodeAddressFactory, NodeFactory
from throttling.drain import WELL_FOR, Mode
from throttling.limits import CapKind
from throttling.models import Rule, RuleDomain, WarmUpPlan

pytestmark = [pytest.mark.django_db, pytest.mark.storage]

MINUTE = datetime.timedelta(minutes=1)
HOUR = 60 * MINUTE
IPS = [f"192.0.2.{number}" for number in range(1, 9)]
TOLD = "1 of 8 sending addresses of pool Main is drained, at most 2 may be (30 %)"


@pytest.fixture
def pool(db) -> IPPool:
    made = make_pool(make_tenant("Acme", server="Mailer").organization, "Main", *IPS)
    drains.configure(made.pk, mode=Mode.ACT, share=30, actor=SYSTEM)
    return made


def address(number=1) -> IPAddress:
    return IPAddress.objects.get(ipv4=f"192.0.2.{number}")


def list_it(number=1, *, first=NOW - 2 * HOUR, last=NOW) -> Listing:
    blocklist, _ = Blocklist.objects.get_or_create(name="bl.example", defaults={"zone_status": "ok"})
    ipv4 = f"192.0.2.{number}"
    return Listing.objects.create(
        blocklist=blocklist, address=address(number), listing_status="invalid", listed=ipv4,
        listing_error=f"bl.example lists {ipv4} (127.0.0.2).", first_seen_at=first, last_seen_at=last, dns_checked_at=last,
    )  # fmt: skip


def count(number, provider, *, at=NOW, **numbers):
    ProviderCount.objects.create(
        grain=Grain.HOUR, bucket=buckets.hour_of(at), address_id=address(number).pk,
        provider_id=Provider.objects.get(name=provider).pk, **numbers,
    )  # fmt: skip


def back_off(number, *domains):
    for domain in domains:
        rules = address(number).rules
        rule = Rule.objects.create(
            rule_set=rules, slot=rules.rules.count() + 1, max_concurrent_connections=0, max_messages_per_hour=0
        )
        RuleDomain.objects.create(rule=rule, rule_set=rules, pattern=domain, position=0)
        caps.begin(
            address_id=address(number).pk, kind=CapKind.THROTTLE_PROGRAM, rule_id=rule.pk, reason="Deferred", at=NOW - HOUR,
            until=NOW + HOUR, max_messages_per_hour=5, actor=SYSTEM,
        )  # fmt: skip


def found():
    rows = AddressDrain.objects.open().order_by("address_id")
    return [(row.address.ipv4, row.effect, row.providers) for row in rows.select_related("address")]


def overlay(at=NOW):
    return read_overlay(virtual_mtas=list(IPAddress.objects.values_list("pk", flat=True)), servers={}, at=at).resting


def test_it_works(pool):
    list_it()
    assert decide(now=NOW) == Decided(looked_at=8, drained=1)
    row = AddressDrain.objects.get()
    assert (row.effect, row.providers, row.domains, row.drained_at, row.well_since) == ("drained", [], [], NOW, None)
    assert row.reason == (
        "Listed: bl.example lists 192.0.2.1 (127.0.0.2), seen from 18 November 08:30 UTC to 18 November 10:30 UTC. "
        + TOLD
    )
    assert overlay() == (Rest(address().pk),)
    # Deciding again changes nothing, and writes nothing.
    entries = AuditEntry.objects.count()
    assert decide(now=NOW + MINUTE) == Decided(looked_at=8)
    assert AuditEntry.objects.count() == entries
    # It is well, and restored when it has been for a time.
    Listing.objects.update(listing_status="ok", first_seen_at=None, last_seen_at=None)
    assert decide(now=NOW + HOUR) == Decided(looked_at=8)
    assert AddressDrain.objects.get().well_since == NOW + HOUR
    assert decide(now=NOW + HOUR + WELL_FOR - MINUTE) == Decided(looked_at=8)
    assert overlay() == (Rest(address().pk),)
    assert decide(now=NOW + HOUR + WELL_FOR) == Decided(looked_at=8, restored=1)
    assert overlay() == ()
    row.refresh_from_db()
    assert (row.ended_at, row.ended_because) == (
        NOW + HOUR + WELL_FOR, "No trouble since 18 November 11:30 UTC, for 6 hours",
    )  # fmt: skip
    acts = AuditEntry.objects.filter(target_type="ippools.addressdrain").order_by("pk")
    assert list(acts.values_list("act", flat=True)) == ["drain.began", "drain.ended"]


def test_a_pool_that_watches_only_tells(pool):
    drains.configure(pool.pk, mode=Mode.WATCH, share=30, actor=SYSTEM)
    list_it()
    assert decide(now=NOW) == Decided(looked_at=8, told=1)
    assert AddressDrain.objects.get().reason.endswith(". Not drained: the pool only watches")
    assert overlay() == ()
    drains.configure(pool.pk, mode=Mode.ACT, share=30, actor=SYSTEM)
    assert decide(now=NOW + MINUTE) == Decided(looked_at=8, drained=1)
    assert overlay() == (Rest(address().pk),)
    drains.configure(pool.pk, mode=Mode.OFF, share=30, actor=SYSTEM)
    assert decide(now=NOW + 2 * MINUTE) == Decided(restored=1)
    assert (overlay(), AddressDrain.objects.get().ended_because) == ((), "Draining is off")


def test_it_is_off_until_the_operator_says(pool, settings):
    drains.configure(pool.pk, mode=None, share=30, actor=SYSTEM)
    list_it()
    with CaptureQueriesContext(connection) as queries:
        assert decide(now=NOW) == Decided()
    assert len([each for each in queries if each["sql"].startswith("SELECT") and "advisory" not in each["sql"]]) == 2
    settings.SLUICE_DRAIN = "watch"
    assert decide(now=NOW) == Decided(looked_at=8, told=1)
    settings.SLUICE_DRAIN = "act"
    assert decide(now=NOW) == Decided(looked_at=8, drained=1)


def test_one_sighting_is_no_trouble(pool):
    list_it(1, first=NOW - 30 * MINUTE)
    list_it(2, first=NOW - 30 * HOUR, last=NOW - 10 * HOUR)
    assert decide(now=NOW) == Decided(looked_at=8)
    Listing.objects.all().delete()
    list_it()
    Blocklist.objects.update(zone_status=None)
    assert decide(now=NOW) == Decided(looked_at=8)


def test_a_broken_identity(pool):
    for number, since, checked in ((1, 2 * HOUR, 0 * HOUR), (2, HOUR / 2, 0 * HOUR), (3, 3 * HOUR, 5 * HOUR / 2)):
        AddressIdentity.objects.update_or_create(
            ip_address=address(number),
            defaults={"ptr_status": "missing", "fcrdns_status": "missing", "helo_status": "ok", "broken_since": NOW - since,
                      "dns_checked_at": NOW - checked},
        )  # fmt: skip
    assert decide(now=NOW) == Decided(looked_at=8, drained=1)
    assert found() == [("192.0.2.1", "drained", [])]
    assert AddressDrain.objects.get().reason.startswith(
        "Its DNS identity is broken since 18 November 08:30 UTC: PTR missing, FCrDNS missing. "
    )


def test_back_off_at_several_providers(pool):
    back_off(1, "[*.]yahoo.com", "[*.]aol.com")
    back_off(2, "gmail.com", "mail.example")
    decide(now=NOW)
    # Yahoo has both domains.
    assert found() == [("192.0.2.2", "drained", ["Gmail", "mail.example"])]
    row = AddressDrain.objects.get()
    assert row.reason == f"It backs off at 2 providers: Gmail, mail.example. {TOLD}"
    [rest] = overlay()
    assert {"[*.]gmail.com", "gmail.com"} & set(rest.domains)
    assert "mail.example" in rest.domains
    assert "yahoo.com" not in rest.domains


def test_acceptance_far_below_the_pool(pool):
    count(1, "Yahoo", sent=50, deferred=200)
    count(2, "Yahoo", sent=950, deferred=50)
    count(3, "Gmail", sent=50, deferred=200)
    decide(now=NOW)
    assert found() == [("192.0.2.1", "drained", ["Yahoo"])]
    assert AddressDrain.objects.get().reason == (
        "Yahoo accepted 20 % of 250 attempts in 3 hours, and 95 % of 1,000 attempts of the pool’s other addresses. "
        + TOLD
    )


def test_a_block_late_in_the_day_is_no_smaller_for_the_good_hours_before_it(pool):
    evening = NOW.replace(hour=20, minute=0)
    for hour in range(20):
        for number in (1, 2):
            count(number, "Yahoo", at=NOW.replace(hour=hour), sent=100)
    count(2, "Yahoo", at=evening, sent=100)
    count(1, "Yahoo", at=evening, deferred=100)
    assert decide(now=evening + 59 * MINUTE) == Decided(looked_at=8, drained=1)
    assert "67 % of 300 attempts in 3 hours" in AddressDrain.objects.get().reason


def test_where_little_is_sent_more_hours_are_looked_at(pool):
    for hours in range(20):
        count(1, "Yahoo", at=NOW - hours * HOUR, deferred=11)
        count(2, "Yahoo", at=NOW - hours * HOUR, sent=11)
    decide(now=NOW)
    assert "0 % of 220 attempts in 24 hours, and 100 % of 220" in AddressDrain.objects.get().reason


def test_what_is_over_is_no_trouble(pool):
    for number, words in ((1, {"deferred": 500}), (2, {"sent": 500})):
        count(number, "Yahoo", at=NOW - HOUR, **words)
        count(number, "Yahoo", sent=30)
    assert decide(now=NOW) == Decided(looked_at=8)


def test_a_bad_time_counts_for_a_day_and_no_longer(pool):
    count(1, "Yahoo", deferred=500)
    count(2, "Yahoo", sent=500)
    decide(now=NOW)
    for hours in range(1, 23):
        assert decide(now=NOW + hours * HOUR) == Decided(looked_at=8)
    assert AddressDrain.objects.get().well_since is None
    assert decide(now=NOW + 24 * HOUR) == Decided(looked_at=8)
    assert AddressDrain.objects.get().well_since == NOW + 24 * HOUR
    assert decide(now=NOW + 24 * HOUR + WELL_FOR) == Decided(looked_at=8, restored=1)


def test_never_more_than_the_share_and_what_is_held_back_says_so(pool):
    for number in (1, 2, 3):
        list_it(number)
    assert decide(now=NOW) == Decided(looked_at=8, drained=2, withheld=1)
    assert found() == [
        ("192.0.2.1", "drained", []), ("192.0.2.2", "drained", []), ("192.0.2.3", "withheld", []),
    ]  # fmt: skip
    assert AddressDrain.objects.get(effect="withheld").reason.endswith(
        "Not drained: at most 2 of 8 addresses of pool Main may be drained (30 %)"
    )
    assert [rest.source for rest in overlay()] == [address(1).pk, address(2).pk]


def test_never_the_last_on_a_node(pool):
    node = NodeFactory(name="mta1")
    NodeAddressFactory(node=node, ip_address=address(1))
    for number in range(2, 9):
        NodeAddressFactory(node=NodeFactory(), ip_address=address(number))
    list_it()
    assert decide(now=NOW) == Decided(looked_at=8, withheld=1)
    assert AddressDrain.objects.get().reason.endswith(
        "Not drained: no other address of pool Main on node mta1 could send its mail"
    )


def test_never_the_last_by_a_redirect_or_a_route(pool):
    # Another pool's only address redirects to this one, whose mail it then is as well.
    make_pool(make_tenant("Globex").organization, "Other", "198.51.100.1")
    IPAddress.objects.filter(ipv4="198.51.100.1").update(redirect=address(1).pk)
    drains.configure(IPPool.objects.get(name="Other").pk, mode=Mode.ACT, share=50, actor=SYSTEM)
    list_it()
    assert decide(now=NOW) == Decided(looked_at=8, withheld=1)
    assert "pool Other" in AddressDrain.objects.get().reason


def test_a_pool_that_is_off_keeps_its_addresses(pool):
    other = make_pool(make_tenant("Globex").organization, "Other", "198.51.100.1", "198.51.100.2", "198.51.100.3")
    add_members(pool=other, addresses=[address(1)], actor=SYSTEM)
    list_it()
    assert decide(now=NOW) == Decided(looked_at=7)
    assert found() == []


def test_others_paused_meanwhile_do_not_make_mail_wait(pool):
    list_it()
    decide(now=NOW)
    assert overlay() == (Rest(address(1).pk),)
    for number in range(2, 9):
        pausing.pause(address(number).pk, reason="Maintenance", until=None, at=NOW, actor=SYSTEM)
    # Before the next decision: the overlay itself sees that nothing else could send.
    assert overlay() == ()
    assert decide(now=NOW + MINUTE) == Decided(looked_at=8, withheld=1)
    pausing.resume(address(2).pk, actor=SYSTEM)
    assert decide(now=NOW + 2 * MINUTE) == Decided(looked_at=8)


def test_an_operator_takes_it_out_by_one_act(pool):
    list_it()
    decide(now=NOW)
    row = AddressDrain.objects.get()
    with pytest.raises(Invalid) as refused:
        drains.spare(row.pk, reason=" ", until=NOW, at=NOW, actor=ANN)
    assert {fault.path for fault in refused.value.faults} == {"reason", "until"}
    drains.spare(row.pk, reason="Delisting is under way", until=NOW + HOUR, at=NOW, actor=ANN)
    assert overlay() == ()
    assert decide(now=NOW + MINUTE) == Decided(looked_at=8)
    with pytest.raises(NotFound):
        drains.spare(row.pk, reason="Again", until=NOW + HOUR, at=NOW, actor=ANN)
    Listing.objects.update(last_seen_at=NOW + HOUR)
    assert decide(now=NOW + HOUR) == Decided(looked_at=8, drained=1)
    # It was drained before: now it must be well for twice the time.
    Listing.objects.all().delete()
    decide(now=NOW + 2 * HOUR)
    assert decide(now=NOW + 2 * HOUR + WELL_FOR) == Decided(looked_at=8)
    assert decide(now=NOW + 2 * HOUR + 2 * WELL_FOR) == Decided(looked_at=8, restored=1)


def test_addresses_that_are_warmed_up_stand_in_for_nobody(pool):
    plan = WarmUpPlan.objects.order_by("pk")[0]
    for number in range(2, 9):
        warm_ups.begin(address_id=address(number).pk, plan_id=plan.pk, on=NOW.date(), at=NOW, actor=SYSTEM)
    list_it()
    assert decide(now=NOW) == Decided(looked_at=8, withheld=1)


def test_a_panel_that_was_away_changes_nothing_when_it_returns(pool):
    list_it()
    decide(now=NOW)
    # A day later nothing was asked meanwhile: the listing is too old to count, and one look restores nobody.
    later = NOW + 24 * HOUR
    assert decide(now=later) == Decided(looked_at=8)
    assert overlay(later) == (Rest(address(1).pk),)
    Listing.objects.update(last_seen_at=later + MINUTE)
    assert decide(now=later + MINUTE) == Decided(looked_at=8)
    assert AddressDrain.objects.get().well_since is None


def test_an_address_or_pool_that_goes_is_forgotten(pool):
    list_it()
    decide(now=NOW)
    address(1).memberships.all().delete()
    assert decide(now=NOW + MINUTE) == Decided(looked_at=7, restored=1)
    assert AddressDrain.objects.get().ended_because == "It is in no pool any more"


def test_queries_do_not_grow(pool):
    list_it(1)
    with CaptureQueriesContext(connection) as few:
        decide(now=NOW)
    with CaptureQueriesContext(connection) as again:
        decide(now=NOW + MINUTE)
    make_pool(make_tenant("Globex").organization, "Other", *[f"198.51.100.{number}" for number in range(1, 30)])
    drains.configure(IPPool.objects.get(name="Other").pk, mode=Mode.ACT, share=30, actor=SYSTEM)
    with CaptureQueriesContext(connection) as many:
        decide(now=NOW + 2 * MINUTE)
    assert len(again) == len(many)
    assert len(few) > len(again)


def test_the_command(pool):
    list_it(1, first=NOW)
    out = StringIO()
    call_command("decide_drains", stdout=out)
    assert out.getvalue() == "8 addresses: 0 drained, 0 restored, 0 kept by a limit, 0 reported only.\n"
    out = StringIO()
    call_command("decide_drains", "--json", stdout=out)
    assert json.loads(out.getvalue()) == {"looked_at": 8, "drained": 0, "withheld": 0, "told": 0, "restored": 0}


@pytest.mark.server
@races.in_the_open
def test_two_that_decide_at_once_do_it_once():
    made = make_pool(make_tenant("Acme", server="Mailer").organization, "Main", *IPS)
    drains.configure(made.pk, mode=Mode.ACT, share=30, actor=SYSTEM)
    for number in (1, 2, 3):
        list_it(number)
    results = races.at_once(*[lambda: decide(now=NOW)] * 4)
    assert sorted(results, key=str)[-1] == Decided(looked_at=8, drained=2, withheld=1)
    assert sorted(results, key=str)[:-1] == [Decided(looked_at=8)] * 3
    assert AddressDrain.objects.count() == 3
    assert AuditEntry.objects.filter(target_type="ippools.addressdrain").count() == 3


@pytest.mark.server
@races.in_the_open
def test_taking_out_and_deciding_at_once_leaves_it_out():
    made = make_pool(make_tenant("Acme", server="Mailer").organization, "Main", *IPS)
    drains.configure(made.pk, mode=Mode.ACT, share=30, actor=SYSTEM)
    list_it()
    decide(now=NOW)
    row = AddressDrain.objects.get()
    at = NOW + MINUTE
    results = races.at_once(
        lambda: drains.spare(row.pk, reason="Known", until=at + HOUR, at=at, actor=ANN),
        lambda: decide(now=at),
        lambda: decide(now=at),
    )
    assert not [each for each in results if isinstance(each, Exception)]
    assert AddressDrain.objects.open().count() == 0
    assert AddressDrain.objects.count() == 1


def test_modes_and_shares_are_validated(pool):
    for share in (0, 51, True, None):
        with pytest.raises(Invalid):
            drains.configure(pool.pk, mode=Mode.ACT, share=share, actor=Actor.system())
    with pytest.raises(NotFound):
        drains.configure(pool.pk + 1, mode=Mode.ACT, share=30, actor=Actor.system())
    assert drains.mode_of("") == Mode.OFF
