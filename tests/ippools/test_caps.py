"""Caps of addresses: what begins, is extended and ends, what the database refuses, and how they are read."""

import datetime

import pytest
from django.db import IntegrityError, transaction

from core.audit import Actor
from core.errors import Fault, Invalid, NotFound
from core.models import AuditEntry
from ippools import caps
from ippools.addresses import NewAddress, create_many
from ippools.models import AddressCap
from throttling.limits import NO_RULE, Cap, CapKind
from throttling.models import Rule

pytestmark = pytest.mark.django_db

NOW = datetime.datetime(2026, 11, 27, 12, tzinfo=datetime.UTC)
HOUR = datetime.timedelta(hours=1)
SYSTEM = Actor.system()


@pytest.fixture
def address():
    return create_many([NewAddress(ipv4="192.0.2.1", hostname="mx1.example.com")], actor=SYSTEM)[0]


@pytest.fixture
def rule(address):
    return Rule.objects.create(
        rule_set=address.rules, slot=1, max_concurrent_connections=20, max_messages_per_hour=5_000
    )


def begin(address, **given):
    values = {"kind": CapKind.MANUAL, "reason": "Too fast", "max_messages_per_hour": 100, **given}
    return caps.begin(address_id=address.pk, at=values.pop("at", NOW), actor=SYSTEM, **values)


def acts():
    return list(AuditEntry.objects.filter(act__startswith="cap.").order_by("pk").values_list("act", flat=True))


def test_it_works(address, rule):
    cap = begin(address, rule_id=rule.pk, until=NOW + HOUR, max_concurrent_connections=2)
    assert caps.of_addresses([address.pk], at=NOW) == {
        address.pk: [
            Cap(
                CapKind.MANUAL,
                max_messages_per_hour=100,
                max_concurrent_connections=2,
                until=NOW + HOUR,
                rule_id=rule.pk,
                domains=None,
            )
        ]
    }
    assert caps.of_addresses([address.pk], at=NOW + HOUR) == {}
    assert acts() == ["cap.began"]
    assert AuditEntry.objects.get(act="cap.began").after["reason"] == cap.reason == "Too fast"


def test_another_of_its_kind_ends_it(address, rule):
    first = begin(address, rule_id=rule.pk)
    begin(address, rule_id=NO_RULE)
    begin(address)
    begin(address, domains=["gmail.com"])
    begin(address, kind=CapKind.THROTTLE_PROGRAM, rule_id=rule.pk)
    second = begin(address, rule_id=rule.pk, at=NOW + HOUR, max_messages_per_hour=50)
    first.refresh_from_db()
    assert (first.ended_at, second.ended_at) == (NOW + HOUR, None)
    assert AddressCap.objects.active(NOW + HOUR).count() == 5
    assert acts() == ["cap.began"] * 5 + ["cap.ended", "cap.began"]


def test_one_whose_time_is_over_makes_way_without_a_word(address):
    first = begin(address, rule_id=NO_RULE, until=NOW + HOUR)
    begin(address, rule_id=NO_RULE, at=NOW + 2 * HOUR)
    first.refresh_from_db()
    assert first.ended_at == NOW + HOUR
    assert acts() == ["cap.began", "cap.began"]


def test_it_is_extended_and_ended(address):
    cap = begin(address, until=NOW + HOUR)
    caps.extend(cap.pk, until=NOW + 3 * HOUR, reason="Still refused", at=NOW, actor=SYSTEM)
    caps.extend(cap.pk, until=NOW + 3 * HOUR, reason="Still refused", at=NOW, actor=SYSTEM)
    assert list(AddressCap.objects.active(NOW + 2 * HOUR).values_list("reason", flat=True)) == ["Still refused"]
    caps.end(cap.pk, at=NOW + HOUR, actor=SYSTEM)
    assert caps.of_addresses([address.pk], at=NOW + HOUR) == {}
    assert acts() == ["cap.began", "cap.extended", "cap.ended"]
    for act in (
        lambda: caps.end(cap.pk, at=NOW + HOUR, actor=SYSTEM),
        lambda: caps.extend(cap.pk, until=None, reason="", at=NOW + HOUR, actor=SYSTEM),
    ):
        with pytest.raises(NotFound):
            act()


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"reason": " "}, Fault("reason", "must be from 1 to 500 characters in length")),
        ({"until": NOW}, Fault("until", "must be in the future")),
        ({"max_messages_per_hour": 0}, Fault("max_messages_per_hour", "must be at least 1")),
        (
            {"max_messages_per_hour": None},
            Fault("max_messages_per_hour", "is required where max_concurrent_connections is not given"),
        ),
    ],
)
def test_it_rejects_what_bounds_nothing(address, given, fault):
    with pytest.raises(Invalid) as refusal:
        begin(address, **given)
    assert refusal.value.faults == (fault,)
    assert (AddressCap.objects.count(), acts()) == (0, [])


def test_it_rejects_an_address_that_does_not_exist(address):
    with pytest.raises(NotFound):
        caps.begin(address_id=0, kind=CapKind.DRAIN, reason="x", at=NOW, actor=SYSTEM, max_messages_per_hour=1)


def test_a_rule_that_goes_takes_its_caps_along(address, rule):
    begin(address, rule_id=rule.pk)
    rule.delete()
    assert AddressCap.objects.count() == 0


@pytest.mark.storage
@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("ippools_cap_kind", {"kind": "whim"}),
        ("ippools_cap_bounds_something", {"max_messages_per_hour": None}),
        ("ippools_cap_bounds_something", {"max_messages_per_hour": 0}),
        ("ippools_cap_period", {"until": NOW}),
        ("ippools_cap_one_scope", {"is_default": True, "rule": ...}),
    ],
)
def test_the_database_refuses(address, rule, name, columns):
    values = {
        "address": address,
        "kind": "manual",
        "reason": "x",
        "began_at": NOW,
        "max_messages_per_hour": 1,
        **columns,
    }
    values |= {"rule": rule} if values.get("rule") is ... else {}
    with pytest.raises(IntegrityError, match=name), transaction.atomic():
        AddressCap.objects.create(**values)


@pytest.mark.storage
@pytest.mark.parametrize("is_default", [True, False])
def test_the_database_refuses_two_for_one_throttle(address, rule, is_default):
    values = {"address": address, "kind": "manual", "reason": "x", "began_at": NOW, "max_messages_per_hour": 1}
    values |= {"is_default": True} if is_default else {"rule": rule}
    AddressCap.objects.create(**values)
    with pytest.raises(IntegrityError), transaction.atomic():
        AddressCap.objects.create(**values)
    AddressCap.objects.create(**{**values, "ended_at": NOW})
