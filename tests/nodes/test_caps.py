"""Caps reach nodes as part of the overlay, without a revision, and every kind of MTA is told the lower limit."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from django.utils import timezone

from core.audit import Actor
from ippools import caps
from ippools.addresses import NewAddress, create_many
from nodes.document import overlay_document
from nodes.policy.flat import Limit, limit_tables
from nodes.policy.model import Overlay
from nodes.policy.read import read_overlay
from tests.nodes.test_postfix import small
from throttling.limits import NO_RULE, Cap, CapKind
from throttling.models import Rule

PLUGIN = Path(__file__).parents[2] / "agent" / "haraka" / "sluice_policy.js"


@pytest.mark.django_db
def test_the_overlay_has_the_caps_of_its_addresses():
    now = timezone.now()
    addresses = [NewAddress(ipv4=f"192.0.2.{number}", hostname="mx.example.com") for number in (1, 2)]
    first, second = create_many(addresses, actor=Actor.system())
    rule = Rule.objects.create(rule_set=first.rules, slot=1, max_concurrent_connections=0, max_messages_per_hour=0)
    for address in (first, second):
        caps.begin(
            address_id=address.pk, kind=CapKind.MANUAL, reason="x", at=now, actor=Actor.system(), max_messages_per_hour=5,
            rule_id=rule.pk if address is first else NO_RULE,
        )  # fmt: skip
    overlay = read_overlay(virtual_mtas=[first.pk], servers={}, at=now)
    assert overlay_document(overlay)["caps"] == [
        {
            "source": f"a{first.pk}",
            "kind": "manual",
            "rule": rule.pk,
            "domains": None,
            "per_hour": 5,
            "connections": None,
            "percent_per_hour": None,
            "percent_connections": None,
            "until": None,
        }
    ]


def test_compilers_see_the_lower_limit():
    policy = small(default=(5, 360))
    source = policy.sources[0].id
    capped = Overlay(caps={source: (Cap(CapKind.THROTTLE_PROGRAM, max_messages_per_hour=90, rule_id=NO_RULE),)})
    table = limit_tables(policy, capped.caps)
    assert table[source].of("elsewhere.example") == Limit(0, 5, 90)
    assert table[policy.sources[1].id].of("elsewhere.example") == Limit(0, 5, 360)
    only = {source: (Cap(CapKind.WARM_UP, max_messages_per_hour=7, domains=frozenset({"*.gmail.com"})),)}
    table = limit_tables(policy, only)
    asked = [table[source].of(name).per_hour for name in ("gmail.com", "a.gmail.com", "b.a.gmail.com", "other.com")]
    assert asked == [500, 7, 7, 360]


@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed")
def test_haraka_obeys_while_a_cap_applies():
    document = {
        "format": 1,
        "limit": [{"rule": 0, "connections": 0, "per_hour": 0}, {"rule": 5, "connections": 20, "per_hour": 1_000}],
        "limits": {"l1": {"exact": {"gmail.com": 1}, "below": {}, "default": 0}},
        "sources": {"a1": {"limits": "l1"}, "a2": {"limits": "l1"}, "a3": {"limits": "l1"}},
        "draws": {}, "pools": {}, "rules": {}, "tenants": {},
    }  # fmt: skip
    until = "2026-11-27T12:00:00Z"
    overlay = {
        "caps": [
            {"source": "a1", "rule": 5, "domains": None, "per_hour": 250, "connections": None, "until": until},
            {"source": "a1", "rule": 0, "domains": ["*.b.example"], "per_hour": 9, "connections": 2, "until": None},
            # Percentages stand instead of the numbers, which are those of another limit of the rule.
            {
                "source": "a3",
                "rule": None,
                "domains": None,
                "per_hour": 5_000,
                "connections": 50,
                "until": None,
                "percent_per_hour": 25,
                "percent_connections": 1,
            },
        ]
    }
    asked = [
        ["a1", "gmail.com", "2026-11-27T11:59:59Z"],
        ["a1", "gmail.com", until],
        ["a2", "gmail.com", "2026-11-27T11:59:59Z"],
        ["a1", "b.example", until],
        ["a1", "a.b.example", until],
        ["a3", "gmail.com", until],
        ["a3", "b.example", until],
    ]
    script = (
        f"const {{ Policy }} = require({json.dumps(str(PLUGIN))});"
        f"const policy = new Policy({json.dumps(document)}, {json.dumps(overlay)});"
        f"const asked = {json.dumps(asked)};"
        "console.log(JSON.stringify(asked.map(([tag, domain, at]) => policy.limit(tag, domain, Date.parse(at)))))"
    )
    said = subprocess.run(["node", "-e", script], capture_output=True, text=True, check=True).stdout
    assert [(each["rule"], each["connections"], each["per_hour"]) for each in json.loads(said)] == [
        (5, 20, 250),
        (5, 20, 1_000),
        (5, 20, 1_000),
        (0, 0, 0),
        (0, 2, 9),
        (5, 1, 250),
        (0, 0, 0),
    ]
