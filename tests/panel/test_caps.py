"""Caps in the panel: set by hand, seen, ended."""

import datetime

import pytest
from django.urls import reverse
from django.utils import timezone

from core.models import AuditEntry
from ippools import caps
from ippools.models import AddressCap
from panel.pages import bounded
from tests.panel.conftest import SYSTEM, sign_in
from tests.words import ip_addresses
from throttling.limits import CapKind
from throttling.models import Rule

LIST = reverse("admin:ippools_addresscap_changelist")


@pytest.fixture
def cap(acme):
    return caps.begin(
        address_id=acme.address.pk, kind=CapKind.THROTTLE_PROGRAM, rule_id=0, at=timezone.now(), actor=SYSTEM,
        until=timezone.now() + datetime.timedelta(hours=1), max_messages_per_hour=250,
        reason="45 of 60 attempts were deferred",
    )  # fmt: skip


def test_an_operator_bounds_an_address_by_hand(acme, platform, root):
    data = {
        "address": acme.address.pk,
        "max_messages_per_hour": "100",
        "max_concurrent_connections": "",
        "until_0": "",
        "until_1": "",
        "reason": "The receiver asked for it",
    }
    response = root.post(reverse("admin:ippools_addresscap_add"), data)
    assert response.status_code == 302, response.context["adminform"].form.errors
    made = AddressCap.objects.get(address=acme.address)
    assert (made.kind, made.max_messages_per_hour, made.reason) == ("manual", 100, "The receiver asked for it")
    assert AuditEntry.objects.filter(act="cap.began", target_id=str(made.pk)).count() == 1


def test_what_bounds_nothing_is_refused_at_its_field(acme, platform, root):
    response = root.post(reverse("admin:ippools_addresscap_add"), {"address": acme.address.pk, "reason": "x"})
    assert "max_messages_per_hour" in response.context["adminform"].form.errors
    assert not AddressCap.objects.filter(address=acme.address).exists()


def test_the_list_says_what_is_bounded_and_why(cap, platform, root):
    page = root.get(LIST).content.decode()
    for text in (
        "domains that no rule matches",
        "250 messages per hour",
        "in effect",
        "45 of 60 attempts were deferred",
    ):
        assert text in page


def test_a_list_names_the_first_few_of_many_recipients():
    few, many = (AddressCap(domains=[f"{number}.example" for number in range(size)]) for size in (3, 30))
    assert bounded.recipients_in_short(few) == "0.example, 1.example, 2.example"
    assert bounded.recipients_in_short(many) == "0.example, 1.example, 2.example and 27 more"
    assert bounded.recipients_of(many).count(", ") == 29


def test_an_operator_ends_one(cap, platform, root):
    url = reverse("admin:ippools_addresscap_end", args=[cap.pk])
    # Whoever ends one says why.
    assert root.post(url, {"_form_submitted": "on"}).status_code == 200
    assert root.post(url, {"_form_submitted": "on", "reason": "They fixed it"}).status_code == 302
    cap.refresh_from_db()
    assert cap.ended_at is not None
    [entry] = AuditEntry.objects.filter(act="cap.ended")
    assert entry.after["ended_because"] == "They fixed it"


def test_an_operator_extends_one(cap, platform, root):
    until = timezone.now() + datetime.timedelta(hours=5)
    data = {
        "_form_submitted": "on",
        "until_0": f"{until:%Y-%m-%d}",
        "until_1": f"{until:%H:%M:%S}",
        "reason": "Not yet",
    }
    assert root.post(reverse("admin:ippools_addresscap_extend", args=[cap.pk]), data).status_code == 302
    cap.refresh_from_db()
    assert (cap.reason, cap.until) == ("Not yet", until.replace(microsecond=0))
    assert AuditEntry.objects.filter(act="cap.extended").count() == 1
    past = data | {"until_0": "2020-01-01"}
    assert (
        "must be in the future"
        in root.post(reverse("admin:ippools_addresscap_extend", args=[cap.pk]), past).content.decode().lower()
    )


@pytest.mark.parametrize("act", ["end", "extend"])
def test_a_dialog_says_nothing_that_is_true_of_some_caps_alone(act, cap, root):
    """One that was set by hand, or by a warm-up, has no throttle program, and others may bound the address beside it."""
    AddressCap.objects.filter(pk=cap.pk).update(kind=CapKind.MANUAL, rule_id=None)
    shown = root.get(reverse(f"admin:ippools_addresscap_{act}", args=[cap.pk])).content.decode()
    assert "A throttle program that set" in shown
    assert "Its throttle program" not in shown
    assert "within its rules again" not in shown


def test_pages_of_what_is_bounded_tell_it(acme, platform, root):
    changed = ip_addresses.update(
        acme.address.pk,
        {"rules_new": [{"domains": ["gmail.com"], "max_concurrent_connections": 5, "max_messages_per_hour": 50,
                        "throttle_program": {"id": platform.program.pk}}]},
        actor=SYSTEM,
    )  # fmt: skip
    assert changed
    rule = Rule.objects.get(rule_set=acme.address.rules_id)
    caps.begin(
        address_id=acme.address.pk, kind=CapKind.THROTTLE_PROGRAM, rule_id=rule.pk, at=timezone.now(), actor=SYSTEM,
        until=timezone.now() + datetime.timedelta(hours=1), max_messages_per_hour=12,
        reason="45 of 60 attempts were deferred",
    )  # fmt: skip
    words = ("Caps in effect", "gmail.com", "12 messages per hour", "45 of 60 attempts were deferred")
    for name, pk in (
        ("ippools_ipaddress", acme.address.pk),
        ("throttling_throttleprogram", platform.program.pk),
    ):
        page = root.get(reverse(f"admin:{name}_change", args=[pk])).content.decode()
        assert [word for word in words if word not in page] == []
    other = root.get(reverse("admin:ippools_ipaddress_change", args=[platform.address.pk])).content.decode()
    assert "45 of 60" not in other
    # The tenant reads it, and ends nothing.
    seen = sign_in(acme.owner).get(reverse("admin:ippools_ipaddress_change", args=[acme.address.pk])).content.decode()
    assert "45 of 60 attempts were deferred" in seen
    assert reverse("admin:ippools_addresscap_changelist") not in seen
