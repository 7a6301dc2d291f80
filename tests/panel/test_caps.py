"""Caps in the panel: set by hand, seen, ended."""

import datetime

import pytest
from django.urls import reverse
from django.utils import timezone

from core.models import AuditEntry
from ippools import caps
from ippools.models import AddressCap
from tests.panel.conftest import SYSTEM
from throttling.limits import CapKind

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


def test_an_operator_ends_one(cap, platform, root):
    url = reverse("admin:ippools_addresscap_end", args=[cap.pk])
    assert root.post(url, {"_form_submitted": "on"}).status_code == 302
    cap.refresh_from_db()
    assert cap.ended_at is not None
    assert AuditEntry.objects.filter(act="cap.ended").count() == 1
