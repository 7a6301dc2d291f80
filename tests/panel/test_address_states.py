"""The state of an address in words, on its own page, its pool's and the list: back-off, drained, which day of its warm-up."""

import datetime
import re

import pytest
import time_machine
from django.urls import reverse

from ippools import caps, drains, pausing, warm_ups
from panel.pages.address_states import STATES, state_in_a_word
from stats import warm_up as counted
from tests.panel.conftest import NOW, SYSTEM
from throttling.drain import Effect, Step, TroubleKind
from throttling.limits import CapKind
from throttling.models import WarmUpPlan


@pytest.fixture(autouse=True)
def at_noon():
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def address(acme, platform):
    return acme.address


def back_off(address):
    caps.begin(
        address_id=address.pk, kind=CapKind.THROTTLE_PROGRAM, reason="45 of 60 attempts were deferred", at=NOW, actor=SYSTEM,
        domains=["gmail.com"], max_messages_per_hour=10,
    )  # fmt: skip


def warm(address):
    plan = WarmUpPlan.objects.get(name="Standard")
    warm_ups.begin(address_id=address.pk, plan_id=plan.pk, on=NOW.date(), at=NOW, actor=SYSTEM)


def drain(address):
    step = Step(address.pk, Effect.DRAINED, reason="Listed", kinds=(TroubleKind.LISTED,))
    drains.take(step, domains={}, at=NOW, actor=SYSTEM)


def pause(address):
    pausing.pause(address.pk, reason="Moved", until=None, at=NOW, actor=SYSTEM)


def words(html):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html))


def state_on_page(root, address):
    page = root.get(reverse("admin:ippools_ipaddress_change", args=[address.pk])).content.decode()
    [found] = re.findall(r"<dt>State</dt><dd[^>]*>(.*?)</dd>", page, re.DOTALL)
    return words(found).strip()


def state_in_pool(root, address):
    pool = address.pools.get()
    page = root.get(reverse("admin:ippools_ippool_change", args=[pool.pk])).content.decode()
    [row] = [each for each in page.split("<tr>") if f">{address.ipv4}</a>" in each and "panel-share" in each]
    return words(row.split("<td")[4].split(">", 1)[1]).strip()


def state_in_list(root, address):
    page = root.get(reverse("admin:ippools_ipaddress_changelist"), {"q": address.ipv4}).content.decode()
    return [word for word in STATES if re.search(rf">\s*{word}\s*<", page)]


def test_it_sends(root, address):
    assert (state_on_page(root, address), state_in_pool(root, address)) == ("Sending", "sending")


def test_back_off(root, address):
    back_off(address)
    assert state_on_page(root, address) == "Back-off back-off: gmail.com"
    assert state_in_pool(root, address) == "back-off 1 rule in back-off"
    assert "back-off" in state_in_list(root, address)


def test_the_day_of_a_warm_up_with_its_story_and_when_it_is_warm(root, address):
    warm(address)
    assert state_on_page(root, address).startswith("Warming up the warm-up begins on ")
    counted.decide(now=NOW)
    day = (NOW + datetime.timedelta(days=19)).strftime("%-d %b %Y")
    assert state_on_page(root, address) == f"Warming up day 1 of 19, warm on {day}"
    assert state_in_pool(root, address) == f"warming up day 1 of 19, warm on {day}; day 1: the warm-up began"
    assert "warming up" in state_in_list(root, address)
    warm_ups.hold(address.warm_ups.get().pk, reason="Holiday", actor=SYSTEM)
    assert state_on_page(root, address) == "Warming up day 1 of 19, held"


def test_the_worst_comes_first_and_the_others_are_told(root, address):
    warm(address)
    back_off(address)
    assert state_on_page(root, address).startswith("Back-off back-off: gmail.com the warm-up begins on ")
    drain(address)
    assert state_on_page(root, address).startswith("Drained back-off: gmail.com ")
    assert state_in_pool(root, address).startswith("drained 1 rule in back-off; the warm-up begins on ")
    pause(address)
    assert state_on_page(root, address).startswith("Paused back-off: gmail.com ")


def test_each_state_has_a_word():
    holding = ("is_paused", "is_drained", "is_redirected", "backs_off", "is_warming")
    found = [state_in_a_word(**{name: name == which for name in holding}) for which in (*holding, "none")]
    assert found == list(STATES)
