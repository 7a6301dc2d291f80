"""Throttle programs act on what events say: caps begin, go on and end, whenever the decisions are asked for."""

import datetime
import json
from io import StringIO

import pytest
import time_machine
from django.core.management import call_command

from core.audit import Actor
from core.models import AuditEntry
from ippools import caps
from ippools.models import AddressCap
from stats import programs
from stats.intake.ingest import Reporter, ingest
from stats.models import ThrottleBucket, ThrottleState
from stats.programs import Decided, decide
from tests.stats.conftest import NOW, Tenant
from throttling.limits import CapKind
from throttling.models import Rule, RuleDomain, ThrottleProgram

pytestmark = [pytest.mark.django_db, pytest.mark.storage]

PLATFORM = Reporter()
START = NOW.replace(second=0)
SECOND = datetime.timedelta(seconds=1)
MINUTE = datetime.timedelta(minutes=1)


@pytest.fixture
def rule(acme: Tenant) -> Rule:
    """gmail.com on acme's first address: 1,000 messages an hour, 20 connections, and the built-in program."""
    program = ThrottleProgram.objects.get(is_builtin=True)
    rule_set = acme.addresses[0].rules
    rule = Rule.objects.create(
        rule_set=rule_set, slot=1, max_concurrent_connections=20, max_messages_per_hour=1_000, throttle_program=program
    )
    RuleDomain.objects.create(rule=rule, rule_set=rule_set, pattern="gmail.com", position=0)
    return rule


def report(
    tenant: Tenant, words: list[str], *, start: datetime.datetime, now: datetime.datetime, to: str = "x@gmail.com"
):
    """Report one attempt each second from the start."""
    events = [
        {
            "id": f"{start.isoformat()}-{number}",
            "type": word,
            "at": (start + number * SECOND).isoformat(),
            "server": str(tenant.server.uuid),
            "ip": "192.0.2.1",
            "from": "alice@acme.example",
            "to": to,
        }
        for number, word in enumerate(words)
    ]
    receipt = ingest(events, reporter=PLATFORM, now=now)
    assert (receipt.accepted, receipt.refused) == (len(words), [])


def shown() -> list[tuple]:
    columns = ("kind", "max_messages_per_hour", "max_concurrent_connections", "began_at", "until", "ended_at", "reason")
    return list(AddressCap.objects.order_by("pk").values_list(*columns))


def acts() -> list[str]:
    return list(AuditEntry.objects.filter(act__startswith="cap.").order_by("pk").values_list("act", flat=True))


def test_it_works(acme: Tenant, rule: Rule) -> None:
    now = START + 2 * MINUTE
    report(acme, ["sent"] * 40 + ["deferred"] * 60, start=START, now=now)
    assert decide(now=now) == Decided(looked_at=1, began=1)
    began = START + 100 * SECOND
    [cap] = AddressCap.objects.all()
    assert (cap.address_id, cap.rule_id, cap.is_default) == (acme.addresses[0].pk, rule.pk, False)
    assert shown() == [
        (
            "throttle_program",
            250,
            5,
            now,
            began + datetime.timedelta(hours=1),
            None,
            "60 of 60 attempts were deferred (100 %; Automatic Backoff begins at 50 %), up to 15:31:40 UTC",
        )
    ]
    assert acts() == ["cap.began"]
    # Deciding again, at once and later, changes nothing.
    assert decide(now=now) == Decided(looked_at=1)
    assert decide(now=now + 5 * MINUTE) == Decided(looked_at=1)
    assert len(shown()) == 1


def test_it_ends_by_itself_and_begins_again(acme: Tenant, rule: Rule) -> None:
    now = START + 2 * MINUTE
    report(acme, ["deferred"] * 60, start=START, now=now)
    decide(now=now)
    [(*_, until, _, _)] = shown()
    assert caps.of_addresses([acme.addresses[0].pk], at=until) == {}
    again = until + MINUTE
    assert decide(now=again) == Decided(looked_at=1)
    report(acme, ["deferred"] * 60, start=again, now=again + 2 * MINUTE)
    assert decide(now=again + 2 * MINUTE) == Decided(looked_at=1, began=1)
    assert acts() == ["cap.began", "cap.began"]


def test_it_goes_on_while_receivers_refuse(acme: Tenant, rule: Rule) -> None:
    now = START + 2 * MINUTE
    report(acme, ["deferred"] * 60, start=START, now=now)
    decide(now=now)
    [(*_, until, _, _)] = shown()
    report(acme, ["deferred"] * 5, start=until - MINUTE, now=until)
    # Its end is decided on some seconds later: until then nodes keep it, so that the full rate is not used in between.
    assert decide(now=until - SECOND) == Decided(looked_at=1)
    pk = acme.addresses[0].pk
    assert [each.max_messages_per_hour for each in caps.obeyed_by_nodes([pk], at=until + 9 * SECOND)[pk]] == [250]
    assert decide(now=until + 10 * SECOND) == Decided(looked_at=1, extended=1)
    assert [row[3:6] for row in shown()] == [(now, until + datetime.timedelta(hours=1), None)]
    assert acts() == ["cap.began", "cap.extended"]
    # Without a worker that decides, it ends all the same.
    later = until + datetime.timedelta(hours=1)
    assert caps.obeyed_by_nodes([pk], at=later + MINUTE) == {}


def test_its_end_is_decided_within_seconds(acme: Tenant, rule: Rule) -> None:
    now = START + 2 * MINUTE
    report(acme, ["deferred"] * 60, start=START, now=now)
    decide(now=now)
    [(*_, until, _, _)] = shown()
    assert decide(now=until + 10 * SECOND) == Decided(looked_at=1, ended=1)
    assert [row[4:6] for row in shown()] == [(until, until)]
    assert caps.obeyed_by_nodes([acme.addresses[0].pk], at=until + 10 * SECOND) == {}
    assert decide(now=until + 20 * SECOND) == Decided(looked_at=1)


def test_an_hour_that_arrives_late_decides_the_same(acme: Tenant, rule: Rule) -> None:
    """Looks in between, while nothing had arrived, change nothing of it."""
    report(acme, ["sent"], start=START, now=START + SECOND)
    for minutes in range(0, 40, 10):
        decide(now=START + minutes * MINUTE)
    late = START + 40 * MINUTE
    report(acme, ["sent"] * 40 + ["deferred"] * 60, start=START + 10 * SECOND, now=late)
    assert decide(now=late) == Decided(looked_at=1, began=1)
    [(*_, until, _, _)] = shown()
    assert until == START + 110 * SECOND + datetime.timedelta(hours=1)


def test_a_state_from_a_clock_that_was_a_year_ahead_is_begun_anew(acme: Tenant, rule: Rule) -> None:
    now = START + 2 * MINUTE
    report(acme, ["sent"] * 40, start=START, now=now)
    decide(now=now)
    ThrottleState.objects.update(at=int((now + datetime.timedelta(days=400)).timestamp()))
    report(acme, ["deferred"] * 60, start=START + 40 * SECOND, now=now)
    assert decide(now=now) == Decided(looked_at=1, began=1)
    # Where nothing came since, it is no error.
    ThrottleState.objects.update(at=int((now + datetime.timedelta(days=400)).timestamp()))
    ThrottleBucket.objects.all().delete()
    decide(now=now + MINUTE)


def test_an_operator_ends_it_and_it_starts_anew(acme: Tenant, rule: Rule) -> None:
    now = START + 2 * MINUTE
    report(acme, ["deferred"] * 60, start=START, now=now)
    decide(now=now)
    programs.end(AddressCap.objects.get().pk, at=now, actor=Actor.system())
    assert decide(now=now + MINUTE) == Decided(looked_at=1)
    assert caps.of_addresses([acme.addresses[0].pk], at=now + MINUTE) == {}
    assert acts() == ["cap.began", "cap.ended"]


def test_an_operator_extends_it_and_it_is_judged_then(acme: Tenant, rule: Rule) -> None:
    now = START + 2 * MINUTE
    report(acme, ["deferred"] * 60, start=START, now=now)
    decide(now=now)
    [cap] = AddressCap.objects.all()
    until = now + datetime.timedelta(hours=3)
    programs.extend(cap.pk, until=until, reason="Postmaster is away", at=now, actor=Actor.system())
    assert decide(now=now + MINUTE) == Decided(looked_at=1)
    # Past its own hour it is as the operator said.
    assert decide(now=now + datetime.timedelta(hours=2)) == Decided(looked_at=1)
    cap.refresh_from_db()
    assert (cap.until, cap.ended_at, cap.reason) == (until, None, "Postmaster is away")
    decide(now=until + MINUTE)
    assert caps.of_addresses([cap.address_id], at=until + MINUTE) == {}
    assert acts()[:2] == ["cap.began", "cap.extended"]


def test_domains_without_a_program_and_other_kinds_of_events_do_nothing(acme: Tenant, rule: Rule) -> None:
    now = START + 2 * MINUTE
    report(acme, ["deferred"] * 60, start=START, now=now, to="x@elsewhere.example")
    report(acme, ["incoming", "held", "complaint"] * 20, start=START, now=now)
    assert decide(now=now) == Decided()
    assert (shown(), ThrottleState.objects.count()) == ([], 0)


def test_a_percentage_of_unlimited_bounds_nothing(acme: Tenant, rule: Rule) -> None:
    Rule.objects.filter(pk=rule.pk).update(max_messages_per_hour=0, max_concurrent_connections=0)
    now = START + 2 * MINUTE
    report(acme, ["deferred"] * 60, start=START, now=now)
    assert decide(now=now) == Decided(looked_at=1)
    assert shown() == []


def test_a_rule_that_loses_its_program_loses_its_cap(acme: Tenant, rule: Rule) -> None:
    now = START + 2 * MINUTE
    report(acme, ["deferred"] * 60, start=START, now=now)
    decide(now=now)
    Rule.objects.filter(pk=rule.pk).update(throttle_program=None)
    assert decide(now=now + MINUTE) == Decided()
    assert (acts(), ThrottleState.objects.count()) == (["cap.began", "cap.ended"], 0)


def test_what_nothing_arrives_for_any_more_is_forgotten(acme: Tenant, rule: Rule) -> None:
    report(acme, ["sent"] * 30, start=START, now=START + MINUTE)
    decide(now=START + MINUTE)
    assert ThrottleState.objects.count() == 1
    ThrottleBucket.objects.all().delete()
    decide(now=START + datetime.timedelta(hours=4))
    assert ThrottleState.objects.count() == 0


def test_it_costs_the_same_queries_however_many_throttles_there_are(
    acme: Tenant, rule: Rule, django_assert_max_num_queries
) -> None:
    report(acme, ["sent"] * 30, start=START, now=START + MINUTE)
    decide(now=START + MINUTE)
    with django_assert_max_num_queries(12):
        decide(now=START + MINUTE)


def test_the_command_says_what_was_done(acme: Tenant, rule: Rule) -> None:
    now = START + 2 * MINUTE
    report(acme, ["deferred"] * 60, start=START, now=now)
    with time_machine.travel(now, tick=False):
        out = StringIO()
        call_command("decide_backoff", "--json", stdout=out)
        assert json.loads(out.getvalue()) == {"looked_at": 1, "began": 1, "extended": 0, "ended": 0, "changed": 0}
        out = StringIO()
        call_command("decide_backoff", stdout=out)
    assert (
        out.getvalue()
        == "1 throttles: 0 began to back off, 0 were extended, 0 returned to normal, 0 follow another limit.\n"
    )
    assert AddressCap.objects.get().kind == CapKind.THROTTLE_PROGRAM
