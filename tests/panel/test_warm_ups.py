"""Warm-ups in the panel: plans as text, addresses put on them, held, released, stopped, and what the pages tell."""

import datetime

import pytest
import time_machine
from django.contrib.auth.models import Permission
from django.urls import reverse

from core.models import AuditEntry
from ippools import warm_ups
from ippools.models import IPAddress, WarmUp
from panel.forms.warm_ups import read, written
from stats import warm_up as counted
from tests.panel.conftest import NOW, SYSTEM, sign_in
from throttling.models import WarmUpPlan

PLANS = "admin:throttling_warmupplan"
WARM_UPS = "admin:ippools_warmup"


@pytest.fixture(autouse=True)
def at_noon():
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def plan(db):
    return WarmUpPlan.objects.get(name="Standard")


@pytest.fixture
def warm_up(acme, plan):
    return warm_ups.begin(address_id=acme.address.pk, plan_id=plan.pk, on=NOW.date(), at=NOW, actor=SYSTEM)


def form_of(plan=None, **changes):
    given = {"name": "Mine", "schedule": "48; Yahoo 24\n96; Yahoo 48", "least_accepted": 80, "most_blocked": 5,
             "most_complained": 10, "largest_step": 100, "floor": 24}  # fmt: skip
    return given | changes


def test_a_plan_is_written_as_text(platform, root):
    assert root.post(reverse(f"{PLANS}_add"), form_of()).status_code == 302
    made = WarmUpPlan.objects.get(name="Mine")
    assert (made.days, made.providers) == ([48, 96], {"Yahoo": [24, 48]})
    url = reverse(f"{PLANS}_change", args=[made.pk])
    assert "48; Yahoo 24\n96; Yahoo 48" in root.get(url).content.decode()
    assert root.post(url, form_of(schedule="48\n96\n192")).status_code == 302
    made.refresh_from_db()
    assert (made.days, made.providers) == ([48, 96, 192], {})
    assert AuditEntry.objects.filter(act="warm_up_plan.changed", target_id=str(made.pk)).count() == 1


@pytest.mark.parametrize(
    "schedule", ["", "many", "48; Yahoo", "48; Yahoo 24\n96", "48\n96; Yahoo 48", "23", "48; 24", "²"]
)
def test_a_schedule_that_cannot_be_read_is_an_error_at_its_field(platform, root, schedule):
    response = root.post(reverse(f"{PLANS}_add"), form_of(schedule=schedule))
    assert response.status_code == 200
    assert list(response.context["adminform"].form.errors) == ["schedule"]
    assert not WarmUpPlan.objects.filter(name="Mine").exists()


def test_text_and_schedule_say_the_same():
    days, providers = [48, 96], {"GMX and WEB.DE": [24, 30], "Yahoo": [24, 48]}
    assert read(written(days, providers)) == {"days": days, "providers": providers}
    assert read("1,000\n\n2_000 ;  Yahoo  50".replace("\n\n2_000 ;  Yahoo  50", "")) == {
        "days": [1000],
        "providers": {},
    }


def test_a_built_in_plan_is_read(platform, root, plan):
    page = root.get(reverse(f"{PLANS}_change", args=[plan.pk])).content.decode()
    assert "Day 1: 100 messages, Gmail 50, Microsoft 50, Yahoo 50" in page
    assert root.post(reverse(f"{PLANS}_change", args=[plan.pk]), form_of()).status_code == 403


def test_an_address_is_put_on_a_plan_and_its_pages_tell(acme, platform, root, plan):
    url = reverse("admin:ippools_ipaddress_warm_up", args=[acme.address.pk])
    data = {"plan": plan.pk, "begins_on": f"{NOW:%Y-%m-%d}", "_form_submitted": "on"}
    assert root.post(url, data).status_code == 302
    made = WarmUp.objects.get(address=acme.address)
    counted.decide(now=NOW)
    words = ("Day 1: the warm-up began", "day 1 of 19", "Today at most 100 messages", "50 to Gmail")
    for path in (
        reverse("admin:ippools_ipaddress_change", args=[acme.address.pk]),
        reverse(f"{WARM_UPS}_change", args=[made.pk]),
    ):
        page = root.get(path).content.decode()
        assert [word for word in words if word not in page] == []
    # A second one is refused in the dialog.
    assert "is being warmed up already" in root.post(url, data).content.decode()
    shown = root.get(reverse(f"{WARM_UPS}_changelist"), {"q": acme.address.ipv4}).content.decode()
    assert [word for word in ("1 of 19", "warming up", "the warm-up began") if word not in shown] == []
    addresses = reverse("admin:ippools_ipaddress_changelist")
    for value, expected in (("yes", True), ("no", False)):
        found = root.get(addresses, {"warming": value}).context["cl"].result_list
        assert (acme.address in list(found)) is expected


def test_it_is_held_released_and_stopped(platform, root, warm_up):
    def post(name, **data):
        return root.post(reverse(f"{WARM_UPS}_{name}", args=[warm_up.pk]), {"_form_submitted": "on", **data})

    assert post("hold", reason="Holiday").status_code == 302
    warm_up.refresh_from_db()
    assert (warm_up.is_locked, warm_up.lock_reason) == (True, "Holiday")
    assert "Held by hand: Holiday" in root.get(reverse(f"{WARM_UPS}_change", args=[warm_up.pk])).content.decode()
    assert post("release").status_code == 302
    assert post("stop").status_code == 302
    warm_up.refresh_from_db()
    assert (warm_up.is_locked, warm_up.is_warm, warm_up.ended_at) == (False, False, NOW)


def test_adding_addresses_to_a_pool_offers_it(acme, platform, root, plan):
    url = reverse("admin:ippools_ippool_add_addresses", args=[acme.pool.pk])
    assert "Warm up by" in root.get(url).content.decode()
    data = {"addresses": "192.0.2.50-192.0.2.52", "plan": plan.pk, "template": platform.template.pk, "add": "1"}
    assert root.post(url, data).status_code == 302
    added = IPAddress.objects.filter(ipv4__in=["192.0.2.50", "192.0.2.51", "192.0.2.52"])
    found = WarmUp.objects.filter(address__in=added)
    assert [(each.plan_id, each.begins_on) for each in found] == [(plan.pk, NOW.date())] * 3
    assert AuditEntry.objects.filter(act="warm_up.began", target_id__in=[str(each.pk) for each in found]).count() == 3


def test_a_tenant_sees_its_addresses_warm_up_and_begins_none(acme, globex, platform, warm_up):
    owner = sign_in(acme.owner)
    page = owner.get(reverse("admin:ippools_ipaddress_change", args=[acme.address.pk])).content.decode()
    assert "Warm-up: Standard" in page
    assert (
        "Warm up by"
        not in owner.get(reverse("admin:ippools_ippool_add_addresses", args=[acme.pool.pk])).content.decode()
    )
    url = reverse("admin:ippools_ipaddress_warm_up", args=[acme.address.pk])
    assert owner.post(url, {"plan": warm_up.plan_id, "begins_on": "2026-11-18"}).status_code == 403
    data = {"addresses": "192.0.2.60", "plan": warm_up.plan_id, "add": "1"}
    assert owner.post(reverse("admin:ippools_ippool_add_addresses", args=[acme.pool.pk]), data).status_code == 302
    assert not WarmUp.objects.filter(address__ipv4="192.0.2.60").exists()


def test_warm_ups_have_a_permission_of_their_own(acme, platform, plan):
    platform.staff.user_permissions.remove(Permission.objects.get(codename="add_warmup"))
    client = sign_in(platform.staff)
    url = reverse("admin:ippools_ipaddress_warm_up", args=[acme.address.pk])
    data = {"plan": plan.pk, "begins_on": f"{NOW:%Y-%m-%d}", "_form_submitted": "on"}
    assert client.post(url, data).status_code == 403
    assert not WarmUp.objects.filter(address=acme.address).exists()


def test_the_forecast_moves_with_the_days(platform, root, warm_up):
    counted.decide(now=NOW)
    shown = root.get(reverse(f"{WARM_UPS}_change", args=[warm_up.pk])).context["warm_up"]
    assert shown["warm_on"] == NOW.date() + datetime.timedelta(days=19)
    assert [(each["plan"], each["cap"], each["sent"]) for each in shown["days"]] == [(100, 100, 0)]
