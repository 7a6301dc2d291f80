"""Back-offs of a rule whose limit or program changes, and deciders that meet, are killed, or have clocks that differ."""

import pytest

from core.audit import Actor
from core.models import AuditEntry
from ippools import caps
from ippools.limits import limit_tables
from ippools.models import AddressCap
from nodes.models import Node
from nodes.nodes import create_node
from nodes.policy.flat import limit_tables as limit_tables_of
from nodes.policy.platform import read_platform
from nodes.policy.read import policy_of, read_overlay
from stats.intake.ingest import Reporter, ingest
from stats.models import ThrottleBucket, ThrottleState
from stats.programs import Decided, decide
from tests import races
from tests.stats.conftest import Tenant
from tests.stats.test_programs import MINUTE, SECOND, START, acts, report, rule, shown
from throttling import templates
from throttling.limits import effective
from throttling.models import Rule, RuleDomain, ThrottleProgram

__all__ = ["rule"]
pytestmark = [pytest.mark.django_db, pytest.mark.storage]


def test_a_percentage_follows_the_rule(acme: Tenant, rule: Rule) -> None:
    now = START + 2 * MINUTE
    report(acme, ["deferred"] * 60, start=START, now=now)
    decide(now=now)
    [before] = shown()
    [address, *_] = acme.addresses
    rule.max_messages_per_hour = 4_000
    rule.save()
    # At once, and in what is shown with the next decision.
    bounds = caps.of_addresses([address.pk], at=now)[address.pk]
    found = effective(limit_tables(address), bounds, "gmail.com", now)
    assert (found.max_messages_per_hour, found.max_concurrent_connections) == (1_000, 5)
    assert found.caps[0].max_messages_per_hour == 1_000
    assert decide(now=now + 10 * SECOND) == Decided(looked_at=1, changed=1)
    assert shown() == [(before[0], 1_000, *before[2:])]
    assert acts() == ["cap.began", "cap.changed"]
    assert decide(now=now + 20 * SECOND) == Decided(looked_at=1)


def test_a_node_takes_the_percentage_of_the_limit_that_was_published_to_it(acme: Tenant, rule: Rule) -> None:
    now = START + 2 * MINUTE
    report(acme, ["deferred"] * 60, start=START, now=now)
    decide(now=now)
    [address, *_] = acme.addresses
    create_node(name="mta1", kind="postfix", addresses=[address.ipv4], actor=Actor.system())
    policy = policy_of(read_platform(), Node.objects.get().pk, revision=1)
    # Saved, and not published: a quarter of it is more than the node's whole limit.
    rule.max_messages_per_hour = 6_000
    rule.save()
    decide(now=now + 10 * SECOND)
    overlay = read_overlay(virtual_mtas=[address.pk], servers={}, at=now + 10 * SECOND)
    assert limit_tables_of(policy, overlay.caps)[address.pk].of("gmail.com").per_hour == 250


def test_a_cap_follows_the_value_of_its_program(acme: Tenant, rule: Rule) -> None:
    program = ThrottleProgram.objects.create(
        name="Fixed",
        name_key="fixed",
        backoff_messages_mode="fixed",
        backoff_messages_value=300,
        backoff_connections_mode="percent",
        backoff_connections_value=100,
        return_after_seconds=3600,
        deferral_rate=50,
    )
    rule.throttle_program = program
    rule.save()
    now = START + 2 * MINUTE
    report(acme, ["deferred"] * 60, start=START, now=now)
    decide(now=now)
    assert [each[1:3] for each in shown()] == [(300, 20)]
    program.backoff_messages_value = 100
    program.save()
    assert decide(now=now + 10 * SECOND) == Decided(looked_at=1, changed=1)
    assert [each[1:3] for each in shown()] == [(100, 20)]
    # A rule without a limit is bounded by what is fixed alone.
    Rule.objects.update(max_messages_per_hour=0, max_concurrent_connections=0)
    assert decide(now=now + 20 * SECOND) == Decided(looked_at=1, changed=1)
    assert [each[1:3] for each in shown()] == [(100, None)]


def test_a_rule_that_is_not_the_addresss_any_more_bounds_it_no_longer(acme: Tenant, rule: Rule) -> None:
    now = START + 2 * MINUTE
    report(acme, ["deferred"] * 60, start=START, now=now)
    decide(now=now)
    other = templates.create(
        name="Other", max_concurrent_connections=0, max_messages_per_hour=0, rules=[], actor=Actor.system()
    )
    Rule.objects.filter(pk=rule.pk).update(rule_set=other.rules)
    RuleDomain.objects.filter(rule=rule).update(rule_set=other.rules)
    assert decide(now=now + MINUTE) == Decided()
    assert (acts(), ThrottleState.objects.count()) == (["cap.began", "cap.ended"], 0)


def test_a_tick_that_had_to_wait_does_not_undo_a_later_one(acme: Tenant, rule: Rule) -> None:
    report(acme, ["deferred"] * 60, start=START, now=START + 2 * MINUTE)
    early, late = START + 59 * SECOND, START + 61 * SECOND
    assert decide(now=late) == Decided(looked_at=1, began=1)
    assert decide(now=early) == Decided(looked_at=1)
    [(*_, until, ended_at, _)] = shown()
    assert ended_at is None
    # Likewise at its end, where it goes on, and where it is over.
    report(acme, ["deferred"] * 5, start=until - MINUTE, now=until)
    assert decide(now=until + SECOND) == Decided(looked_at=1, extended=1)
    assert decide(now=until - SECOND) == Decided(looked_at=1)
    [(*_, until, _, _)] = shown()
    assert decide(now=until + SECOND) == Decided(looked_at=1, ended=1)
    assert decide(now=until - SECOND) == Decided(looked_at=1)
    assert acts() == ["cap.began", "cap.extended"]


class Killed(BaseException):
    """What no handler catches."""


def test_a_worker_that_is_killed_while_it_decides_leaves_nothing_half_done(
    acme: Tenant, rule: Rule, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule_set = acme.addresses[0].rules
    second = Rule.objects.create(
        rule_set=rule_set, slot=2, max_concurrent_connections=20, max_messages_per_hour=1_000,
        throttle_program=rule.throttle_program,
    )  # fmt: skip
    RuleDomain.objects.create(rule=second, rule_set=rule_set, pattern="yahoo.com", position=0)
    now = START + 2 * MINUTE
    for to in ("x@gmail.com", "x@yahoo.com"):
        report(acme, ["deferred"] * 60, start=START + (to == "x@yahoo.com") * SECOND / 2, now=now, to=to)
    begin, begun = caps.begin, []

    def killed(**given: object) -> AddressCap:
        begun.append(begin(**given))
        if len(begun) == 2:
            raise Killed
        return begun[0]

    with monkeypatch.context() as patched:
        patched.setattr(caps, "begin", killed)
        with pytest.raises(Killed):
            decide(now=now)
    assert (len(begun), shown(), acts(), ThrottleState.objects.count()) == (2, [], [], 0)
    assert decide(now=now) == Decided(looked_at=2, began=2)
    assert acts() == ["cap.began"] * 2


@pytest.mark.server
@races.in_the_open
def test_deciders_at_once_decide_once(acme: Tenant, rule: Rule) -> None:
    now = START + 2 * MINUTE
    report(acme, ["deferred"] * 60, start=START, now=now)
    results = races.at_once(*[lambda seconds=seconds: decide(now=now + seconds * SECOND) for seconds in range(4)])
    assert [each for each in results if each != Decided(looked_at=1)] == [Decided(looked_at=1, began=1)]
    assert AddressCap.objects.count() == 1
    assert AuditEntry.objects.filter(act__startswith="cap.").count() == 1


def test_what_is_replayed_counts_once_and_decides_nothing(acme: Tenant, rule: Rule) -> None:
    now = START + 2 * MINUTE
    words = ["sent"] * 12 + ["deferred"] * 8
    report(acme, words, start=START, now=now)
    again = [
        {"id": f"{START.isoformat()}-{number}", "type": word, "at": (START + number * SECOND).isoformat(),
         "server": str(acme.server.uuid), "ip": "192.0.2.1", "from": "alice@acme.example", "to": "x@gmail.com"}
        for number, word in enumerate(words)
    ]  # fmt: skip
    for minutes in range(5):
        receipt = ingest(again, reporter=Reporter(), now=now + minutes * MINUTE)
        assert (receipt.accepted, receipt.duplicates) == (0, 20)
        assert decide(now=now + minutes * MINUTE) == Decided(looked_at=1)
    assert sum(bucket.sent + bucket.deferred for bucket in ThrottleBucket.objects.all()) == 20
