"""What the panel gives to the acts on addresses beyond what GreenArrow's API knows. (The rest: tests/api/greenarrow.)"""

import pytest

from core.audit import Actor
from core.errors import Invalid
from core.models import AuditEntry
from tests.words import ip_addresses
from throttling.models import ThrottlingTemplate

SYSTEM = Actor.system()


def values(**changes):
    return {
        "name": "ipaddr-1",
        "ipv4": "10.0.0.1",
        "hostname": "h.example.com",
        "throttling_template": {"name": "Default"},
        **changes,
    }


def faults(**changes):
    with pytest.raises(Invalid) as refusal:
        ip_addresses.create(values(**changes), actor=SYSTEM)
    return [str(fault) for fault in refusal.value.faults]


def test_ipv6_and_priority(db):
    made = ip_addresses.create(values(ipv6="2001:DB8:0::1", priority=0), actor=SYSTEM)
    made.refresh_from_db()
    assert (made.ipv6, made.priority) == ("2001:db8::1", 0)
    ip_addresses.update(made.pk, {"ipv6": None, "priority": 100}, actor=SYSTEM)
    made.refresh_from_db()
    assert (made.ipv6, made.priority) == (None, 100)


@pytest.mark.parametrize("ipv6", ["", "10.0.0.1", "2001:db8::g", "fe80::1%eth0", 5, "::1/64"])
def test_a_bad_ipv6(db, ipv6):
    assert faults(ipv6=ipv6) == ["ipv6 must be null or a valid IPv6 address"]


def test_an_ipv6_is_unique_however_it_is_written(db):
    ip_addresses.create(values(ipv6="2001:db8::1"), actor=SYSTEM)
    assert faults(name="b", ipv4="10.0.0.2", ipv6="2001:0db8:0:0::1") == ["ipv6 has already been taken"]


@pytest.mark.parametrize("priority", [-1, 101, "5", True, None])
def test_a_bad_priority(db, priority):
    assert faults(priority=priority) == ["priority must be an integer from 0 to 100"]


def test_rules_are_replaced_as_a_whole(db):
    rule = {"max_concurrent_connections": 1, "max_messages_per_hour": 2}
    made = ip_addresses.create(
        values(rules=[{**rule, "domains": ["a.com"]}, {**rule, "domains": ["b.com"]}]), actor=SYSTEM
    )
    kept = made.rules.rules.order_by("pk").first().pk
    after = [{**rule, "id": kept, "domains": ["b.com"]}, {**rule, "domains": ["c.com"]}]
    ip_addresses.update(made.pk, {"rules": after, "delivery_paused": True}, actor=SYSTEM, replaces_rules=True)
    found = made.rules.rules.order_by("pk").values_list("pk", "domains__pattern")
    assert [pattern for _, pattern in found] == ["b.com", "c.com"]
    assert found[0][0] == kept
    entry = AuditEntry.objects.get(act="ip_address.changed")
    assert [each["domains"] for each in entry.before["rules"]] == [["a.com"], ["b.com"]]
    assert [each["domains"] for each in entry.after["rules"]] == [["b.com"], ["c.com"]]


def test_the_default_template_is_there(db):
    made = ip_addresses.create(values(), actor=SYSTEM)
    assert made.template == ThrottlingTemplate.objects.get(is_default=True)
