"""Warm-ups act: a date is decided once, caps follow, what happened decides the next, and mail above goes elsewhere."""

import datetime
import json
from io import StringIO

import pytest
import time_machine
from django.core.management import call_command

from core.audit import Actor
from core.errors import Invalid, NotFound
from core.models import AuditEntry
from ippools import caps, warm_ups
from ippools.models import AddressCap, WarmUp
from nodes.policy.model import Rest
from nodes.policy.read import read_overlay
from stats.counts import buckets
from stats.counts.buckets import Grain
from stats.models import AddressCount, AddressReasonCount, Provider, ProviderCount
from stats.reasons import Reason
from stats.warm_up import Decided, Resting, decide, domains_of_providers, resting
from tests.stats.conftest import NOW, Tenant
from throttling import warm_up_plans
from throttling.models import WarmUpPlan

pytestmark = [pytest.mark.django_db, pytest.mark.storage]

SYSTEM = Actor.system()
DAY = datetime.timedelta(days=1)
TODAY = NOW.date()


@pytest.fixture
def plan(db: None) -> WarmUpPlan:
    days = [240, 480, 960]
    return warm_up_plans.create(name="Test", days=days, providers={"Yahoo": [each // 2 for each in days]}, actor=SYSTEM)


@pytest.fixture
def warm_up(acme: Tenant, plan: WarmUpPlan) -> WarmUp:
    return warm_ups.begin(address_id=acme.addresses[0].pk, plan_id=plan.pk, on=TODAY, at=NOW, actor=SYSTEM)


def count(warm_up: WarmUp, provider: str, on: datetime.date, **numbers: int) -> None:
    key = {"grain": Grain.DAY, "bucket": buckets.day_number(on), "address_id": warm_up.address_id}
    provider_id = Provider.objects.get(name=provider).pk
    ProviderCount.objects.create(**key, provider_id=provider_id, **numbers)
    total, _ = AddressCount.objects.get_or_create(**key)
    AddressCount.objects.filter(**key).update(sent=total.sent + numbers.get("sent", 0))


def decided(warm_up: WarmUp) -> list[tuple]:
    return list(warm_up.days.values_list("on", "number", "cap", "reason"))


def caps_now(warm_up: WarmUp, at: datetime.datetime) -> list[tuple]:
    return [
        (cap.kind.value, cap.max_messages_per_hour, cap.until, "yahoo.com" in (cap.domains or ()), cap.domains is None)
        for cap in caps.of_addresses([warm_up.address_id], at=at).get(warm_up.address_id, [])
    ]


def test_it_works(warm_up: WarmUp) -> None:
    assert decide(now=NOW) == Decided(looked_at=1, decided=1)
    assert decided(warm_up) == [(TODAY, 1, 240, "day 1: the warm-up began")]
    # A day's cap is met by the hour; a cap has no end, so that nodes keep it should the panel be away.
    assert caps_now(warm_up, NOW) == [("warm_up", 10, None, False, True), ("warm_up", 5, None, True, False)]
    # The same date is decided once, whenever and however often it is asked for.
    assert decide(now=NOW) == Decided(looked_at=1)
    count(warm_up, "Gmail", TODAY, sent=100)
    assert decide(now=NOW + datetime.timedelta(minutes=1)) == Decided(looked_at=1)
    assert decide(now=NOW + DAY) == Decided(looked_at=1, decided=1)
    assert decided(warm_up)[1:] == [(TODAY + DAY, 2, 480, "day 2: 100 % of 100 attempts were accepted yesterday")]
    assert [each[1] for each in caps_now(warm_up, NOW + DAY)] == [20, 10]
    assert AddressCap.objects.filter(ended_at=None).count() == 2
    acts = AuditEntry.objects.filter(act__startswith="warm_up.").order_by("pk").values_list("act", flat=True)
    assert list(acts) == ["warm_up.began", "warm_up.decided", "warm_up.decided"]


def test_a_bad_day_is_repeated_and_says_why(warm_up: WarmUp) -> None:
    decide(now=NOW)
    count(warm_up, "Gmail", TODAY, sent=200)
    count(warm_up, "Yahoo", TODAY, sent=69, deferred=31)
    decide(now=NOW + DAY)
    assert decided(warm_up)[1:] == [(TODAY + DAY, 1, 240, "day 1 repeated: Yahoo deferred 31 % yesterday")]
    count(warm_up, "Gmail", TODAY + DAY, sent=190, bounced=10)
    key = {"grain": Grain.DAY, "bucket": buckets.day_number(TODAY + DAY), "address_id": warm_up.address_id}
    gmail = Provider.objects.get(name="Gmail").pk
    AddressReasonCount.objects.create(**key, provider_id=gmail, reason=Reason.BLOCKED, bounced=10, deferred=6)
    decide(now=NOW + 2 * DAY)
    assert decided(warm_up)[2:] == [(TODAY + 2 * DAY, 1, 240, "day 1 repeated: Gmail blocked 8 % yesterday")]


def test_an_hour_that_arrives_late_takes_the_day_back(warm_up: WarmUp) -> None:
    decide(now=NOW)
    count(warm_up, "Gmail", TODAY, sent=200)
    assert decide(now=NOW + DAY).decided == 1
    assert decided(warm_up)[1][1:3] == (2, 480)
    # A node that was cut off reports the evening.
    count(warm_up, "Yahoo", TODAY, sent=60, deferred=40)
    hour = datetime.timedelta(hours=1)
    assert decide(now=NOW + DAY + hour) == Decided(looked_at=1, corrected=1)
    reason = "day 1 repeated: Yahoo deferred 40 % yesterday; decided again, as some of its events arrived late"
    assert decided(warm_up)[1:] == [(TODAY + DAY, 1, 240, reason)]
    assert [each[1] for each in caps_now(warm_up, NOW + DAY + hour)] == [10, 5]
    # Again it is once, and better news do not raise a cap within a day.
    assert decide(now=NOW + DAY + hour) == Decided(looked_at=1)
    ProviderCount.objects.update(deferred=0)
    assert decide(now=NOW + DAY + 2 * hour) == Decided(looked_at=1)
    entry = AuditEntry.objects.filter(act="warm_up.decided").latest("pk")
    assert (entry.before["cap"], entry.after["cap"]) == (480, 240)


def test_a_day_that_is_held_is_not_taken_back(warm_up: WarmUp) -> None:
    decide(now=NOW)
    count(warm_up, "Gmail", TODAY, sent=200)
    decide(now=NOW + DAY)
    warm_ups.hold(warm_up.pk, reason="We know", actor=SYSTEM)
    count(warm_up, "Yahoo", TODAY, sent=60, deferred=40)
    assert decide(now=NOW + DAY) == Decided(looked_at=1)


def test_a_panel_that_was_away_makes_one_step(warm_up: WarmUp) -> None:
    decide(now=NOW)
    for days in range(3):
        count(warm_up, "Gmail", TODAY + days * DAY, sent=240)
    assert decide(now=NOW + 3 * DAY) == Decided(looked_at=1, decided=1)
    assert [row[:3] for row in decided(warm_up)] == [(TODAY, 1, 240), (TODAY + 3 * DAY, 2, 480)]


def test_a_clock_that_was_a_year_ahead_keeps_no_warm_up_at_its_day(warm_up: WarmUp) -> None:
    decide(now=NOW)
    decide(now=NOW + 400 * DAY)
    assert decide(now=NOW) == Decided(looked_at=1)
    count(warm_up, "Gmail", TODAY, sent=100)
    assert decide(now=NOW + DAY) == Decided(looked_at=1, decided=1)
    assert warm_up.days.get(on=TODAY + DAY).number == 2
    # A worker that is a second ahead at midnight decides tomorrow, once.
    assert decide(now=NOW) == Decided(looked_at=1)


def test_after_the_plan_the_address_is_warm_and_its_caps_end(warm_up: WarmUp) -> None:
    for days in range(3):
        assert decide(now=NOW + days * DAY).decided == 1
        count(warm_up, "Gmail", TODAY + days * DAY, sent=500)
    assert decide(now=NOW + 3 * DAY) == Decided(looked_at=1, finished=1)
    warm_up.refresh_from_db()
    assert (warm_up.is_warm, warm_up.ended_at, caps_now(warm_up, NOW + 3 * DAY)) == (True, NOW + 3 * DAY, [])
    assert decide(now=NOW + 4 * DAY) == Decided()


def test_it_begins_on_its_date(acme: Tenant, plan: WarmUpPlan) -> None:
    warm_up = warm_ups.begin(address_id=acme.addresses[0].pk, plan_id=plan.pk, on=TODAY + 2 * DAY, at=NOW, actor=SYSTEM)
    assert decide(now=NOW + DAY) == Decided()
    assert decide(now=NOW + 2 * DAY) == Decided(looked_at=1, decided=1)
    assert [row[0] for row in decided(warm_up)] == [TODAY + 2 * DAY]


def test_a_lock_holds_the_day_and_one_act_undoes_all(warm_up: WarmUp) -> None:
    decide(now=NOW)
    count(warm_up, "Gmail", TODAY, sent=240)
    warm_ups.hold(warm_up.pk, reason="Holiday", actor=SYSTEM)
    decide(now=NOW + DAY)
    assert decided(warm_up)[-1][1:] == (1, 240, "day 1 repeated: held by hand")
    warm_ups.release(warm_up.pk, actor=SYSTEM)
    warm_ups.stop(warm_up.pk, at=NOW + DAY, actor=SYSTEM)
    assert caps_now(warm_up, NOW + DAY) == []
    assert decide(now=NOW + 2 * DAY) == Decided()
    for act in (warm_ups.stop,):
        with pytest.raises(NotFound):
            act(warm_up.pk, at=NOW, actor=SYSTEM)


def test_what_begins_no_warm_up(warm_up: WarmUp, plan: WarmUpPlan, acme: Tenant) -> None:
    other = acme.addresses[1].pk
    ids = {"address_id": other, "plan_id": plan.pk}
    for change, on, error in (
        ({}, TODAY - DAY, Invalid),
        ({}, TODAY + 400 * DAY, Invalid),
        ({"address_id": 0}, TODAY, NotFound),
        ({"plan_id": 0}, TODAY, NotFound),
        ({"address_id": warm_up.address_id}, TODAY, warm_ups.AlreadyWarmingUp),
    ):
        with pytest.raises(error):
            warm_ups.begin(**(ids | change), on=on, at=NOW, actor=SYSTEM)
    every = [warm_up.address_id, other]
    assert warm_ups.begin_many(address_ids=every, plan_id=plan.pk, on=TODAY, at=NOW, actor=SYSTEM) == 1
    assert WarmUp.objects.active().filter(address_id=other).count() == 1


def test_an_address_rests_when_it_has_used_its_part_of_the_day(warm_up: WarmUp) -> None:
    decide(now=NOW)
    hour = NOW.replace(minute=0, second=0)
    part = 240 * (hour.hour + 1) // 24
    count(warm_up, "Gmail", TODAY, sent=part - 1)
    assert resting([warm_up.address_id], NOW) == []
    ProviderCount.objects.update(deferred=1)
    next_hour = hour + datetime.timedelta(hours=1)
    assert resting([warm_up.address_id], NOW) == [Resting(warm_up.address_id, next_hour)]
    assert resting([warm_up.address_id + 1], NOW) == []
    # The next hour has a part of its own.
    assert resting([warm_up.address_id], hour + datetime.timedelta(hours=1)) == []
    overlay = read_overlay(virtual_mtas=[warm_up.address_id], servers={}, at=NOW)
    assert overlay.resting == (Rest(warm_up.address_id, (), next_hour),)


def test_it_rests_for_a_provider_alone(warm_up: WarmUp) -> None:
    decide(now=NOW)
    count(warm_up, "Yahoo", TODAY, sent=120 * (NOW.hour + 1) // 24)
    [found] = resting([warm_up.address_id], NOW)
    assert "yahoo.com" in found.domains
    assert "yahoo.co.uk" in found.domains
    assert "gmail.com" not in found.domains
    assert read_overlay(virtual_mtas=[warm_up.address_id], servers={}, at=NOW).resting_at("yahoo.com") == {
        warm_up.address_id
    }
    assert read_overlay(virtual_mtas=[warm_up.address_id], servers={}, at=NOW).resting_at("gmail.com") == frozenset()


def test_any_ending_is_the_common_ones(db: None) -> None:
    assert domains_of_providers([]) == {}
    found = domains_of_providers(["Gmail", "Yahoo"])
    assert found["Gmail"] == ["gmail.com", "googlemail.com"]
    assert not [pattern for pattern in found["Yahoo"] if "*" in pattern]


def test_the_command_decides_now(warm_up: WarmUp) -> None:
    with time_machine.travel(NOW, tick=False):
        out = StringIO()
        call_command("decide_warm_up", "--json", stdout=out)
        assert json.loads(out.getvalue()) == {"looked_at": 1, "decided": 1, "finished": 0, "corrected": 0}
        call_command("decide_warm_up", stdout=(out := StringIO()))
        assert out.getvalue() == "1 warm-ups: 0 decided, 0 finished, 0 corrected.\n"


def test_built_in_plans_stay(db: None) -> None:
    plans = list(WarmUpPlan.objects.filter(is_builtin=True).order_by("pk"))
    assert [(each.name, len(each.days), each.days[0], each.days[-1]) for each in plans] == [
        ("Careful", 28, 50, 50_000),
        ("Standard", 19, 100, 100_000),
        ("Fast", 12, 500, 250_000),
    ]
    for each in plans:
        # Their own rails let them through.
        steps = zip(each.days, each.days[1:], strict=False)
        assert all(later <= earlier * (100 + each.largest_step) // 100 for earlier, later in steps)
        with pytest.raises(Exception, match="built-in"):
            warm_up_plans.delete(each.pk, actor=SYSTEM)
        with pytest.raises(Exception, match="built-in"):
            warm_up_plans.change(each.pk, floor=50, actor=SYSTEM)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "Standard"}, "name"),
        ({"days": []}, "days"),
        ({"days": [50, 23]}, "days"),
        ({"days": [50, True]}, "days"),
        ({"providers": {"Yahoo": [50]}}, "providers"),
        ({"largest_step": 0}, "largest_step"),
        ({"floor": 1}, "floor"),
    ],
)
def test_what_is_no_plan(db: None, given: dict, field: str) -> None:
    with pytest.raises(Invalid) as refusal:
        warm_up_plans.create(**({"name": "Mine", "days": [50, 60]} | given), actor=SYSTEM)
    assert [fault.path for fault in refusal.value.faults] == [field]


def test_a_plan_in_use_is_not_deleted(warm_up: WarmUp, plan: WarmUpPlan) -> None:
    with pytest.raises(Exception, match="were warmed up"):
        warm_up_plans.delete(plan.pk, actor=SYSTEM)
    unused = warm_up_plans.create(name="Unused", days=[50], actor=SYSTEM)
    warm_up_plans.change(unused.pk, days=[60], actor=SYSTEM)
    warm_up_plans.change(unused.pk, days=[60], actor=SYSTEM)
    warm_up_plans.delete(unused.pk, actor=SYSTEM)
    acts = AuditEntry.objects.filter(target_id=str(unused.pk), act__startswith="warm_up_plan.").order_by("pk")
    assert list(acts.values_list("act", flat=True)) == [
        "warm_up_plan.created", "warm_up_plan.changed", "warm_up_plan.deleted",
    ]  # fmt: skip
