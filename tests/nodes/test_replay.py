"""The replay: last week's mail against limits that are to be published."""

import dataclasses
import datetime

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from core import jobs
from core.errors import Conflict
from core.models import Job
from nodes import replay_jobs
from nodes.counted_replay import CountedReplay, replay_counts
from nodes.policy.rehearsal import Delay, delay_of, rehearse, sentences, waiting
from nodes.publishing import publish, read_draft
from nodes.replay import changed_nodes, replay
from nodes.replay_jobs import CURRENT_FOR, KIND, fingerprint, latest, replayed, request_replay
from nodes.tasks import run_replays
from stats.counts import buckets
from stats.counts.buckets import Grain
from stats.intake.ingest import Reporter, ingest
from stats.models import ThrottleCount
from tests.cast import ANN, NOW
from tests.nodes.platform import rule
from tests.nodes.test_meaning import GMAIL, policy
from tests.words import ip_addresses
from throttling.limits import LimitRule, LimitTable
from throttling.models import Rule


def slowly(used: dict[int, int], limit: int) -> tuple[set[int], int, int]:
    """Each message for itself, the oldest first."""
    queue: list[int] = []
    hours, delayed, most = set(), 0, 0
    hour = min(used, default=0)
    while hour <= max(used, default=-1) or queue:
        queue += [hour] * used.get(hour, 0)
        leaving, queue = queue[:limit], queue[limit:]
        delayed += sum(arrived != hour for arrived in leaving)
        if queue:
            hours.add(hour)
            most = max(most, len(queue))
        hour += 1
    return hours, delayed, most


@given(st.dictionaries(st.integers(0, 12), st.integers(0, 30), max_size=8), st.integers(1, 12))
def test_waiting_is_that_of_each_message(used, limit):
    assert waiting(used, limit) == slowly(used, limit)


def test_it_counts_a_rules_domains_together():
    before = policy(dataclasses.replace(GMAIL, domains=("gmail.com", "googlemail.com")))
    after = policy(dataclasses.replace(GMAIL, domains=("gmail.com", "googlemail.com"), max_messages_per_hour=6_000))
    attempts = [
        (1, "gmail.com", 100, 4_000), (1, "googlemail.com", 100, 3_500), (1, "gmail.com", 101, 1_000),
        (2, "gmail.com", 100, 6_000), (1, "yahoo.com", 100, 90_000), (99, "gmail.com", 100, 90_000),
    ]  # fmt: skip
    found = rehearse(before, after, attempts, last_hour=110)
    [delay] = found.delays
    assert (delay.delayed, delay.attempts, delay.hours, delay.longest_minutes) == (1_500, 14_500, 1, 15)
    assert (delay.busiest, delay.left_percent, delay.addresses) == (7_500, 80, ("192.0.2.1", "192.0.2.2"))
    assert not found.moves
    assert sentences(found) == [
        (
            "gmail.com, googlemail.com: 6,000 an hour would have delayed 1,500 of 14,500 attempts in 1 hour,"
            " by 15 minutes at most; it leaves 80 % of the last day's busiest hour"
        )
    ]


def test_domains_that_come_under_another_rule_are_told():
    after = policy(GMAIL, LimitRule(2, ("*.example",), 0, 10))
    found = rehearse(policy(GMAIL), after, [(1, "a.example", 5, 8), (1, "b.example", 5, 8)], last_hour=6)
    assert (found.moves, [each.delayed for each in found.delays]) == (True, [6])
    # A higher limit, and none at all, delay nothing.
    higher = policy(dataclasses.replace(GMAIL, max_messages_per_hour=20_000))
    assert sentences(rehearse(policy(GMAIL), higher, [(1, "gmail.com", 5, 8)], last_hour=6)) == [
        "1 changed limit would have delayed nothing"
    ]


@pytest.mark.storage
@pytest.mark.django_db
def test_it_works(site, acme):
    publish(actor=ANN, now=NOW)
    hour = NOW.replace(minute=0, second=0, microsecond=0) - datetime.timedelta(hours=3)
    events = [
        {
            "id": str(number), "type": kind, "at": (hour + datetime.timedelta(seconds=number)).isoformat(),
            "server": "acme/transactional-server", "ip": "192.0.2.1", "from": "a@acme.example", "to": f"b{number}@gmail.com",
        }
        for number, kind in enumerate(["sent"] * 6 + ["deferred"] * 2 + ["bounced"] + ["incoming"] * 9 + ["complaint"])
    ]  # fmt: skip
    old = {**events[0], "at": (hour - datetime.timedelta(days=9)).isoformat()}
    assert ingest([*events, old], reporter=Reporter(), now=NOW).accepted == len(events) + 1
    number = Rule.objects.get().pk
    changed = {"id": number, **rule(["gmail.com", "*.gmail.com"], 20, 4)}
    ip_addresses.update(site.first.pk, {"rules": [changed]}, actor=ANN, replaces_rules=True)
    [found] = replay(read_draft(), now=NOW)
    assert found.document() == {
        "node": "here",
        "since": "2026-11-11T11:00:00+00:00",
        "from": "events still held",
        "domains_move_between_rules": False,
        "summary": [
            ("gmail.com: 4 an hour would have delayed 5 of 9 attempts in 2 hours, by 75 minutes at most;"
            " it leaves 44 % of the last day's busiest hour")
        ],
        "delays": [
            {
                "domains": ["gmail.com"], "rule": number, "max_messages_per_hour": 4, "addresses": ["192.0.2.1"],
                "attempts": 9, "delayed": 5, "hours": 2, "longest_minutes": 75, "leaves_percent": 44,
            }
        ],
    }  # fmt: skip


@pytest.mark.storage
@pytest.mark.django_db
def test_as_a_job_it_goes_on_where_it_was_and_knows_its_draft(site, acme):
    publish(actor=ANN, now=NOW)
    for address in (site.first, site.second):
        ip_addresses.update(address.pk, {"default": {"max_messages_per_hour": 9}}, actor=ANN)
    draft = read_draft()
    job = request_replay(replayed(draft), repeats=None, user_id=None, now=NOW)
    assert request_replay(replayed(draft), repeats=None, user_id=None, now=NOW) == job
    run_replays()
    job.refresh_from_db()
    expected = {"replays": [each.document() for each in replay(draft, now=timezone.now())]}
    assert (job.state, job.outcome, job.progress_done) == ("done", expected, len(changed_nodes(draft)))
    assert latest(fingerprint(draft), now=NOW) == job
    assert latest(fingerprint(draft), now=timezone.now() + 2 * CURRENT_FOR) is None
    # A node's step that was done is not done again.
    again = jobs.start(kind=KIND, label="Again", parameters=job.parameters, total=len(changed_nodes(draft)))
    Job.objects.filter(pk=again.pk).update(cursor=[{"node": "kept"}])
    run_replays()
    again.refresh_from_db()
    assert again.outcome["replays"][0] == {"node": "kept"}
    ip_addresses.update(site.first.pk, {"default": {"max_messages_per_hour": 8}}, actor=ANN)
    late = jobs.start(kind=KIND, label="Late", parameters=job.parameters, total=1)
    run_replays()
    late.refresh_from_db()
    assert (late.state, late.failure) == (
        "failed", "The configuration has changed since the replay was requested; request it again",
    )  # fmt: skip
    assert latest(fingerprint(read_draft()), now=NOW) is None


def table(*rules: LimitRule, per_hour: int = 0) -> LimitTable:
    return LimitTable.of(rules, max_concurrent_connections=0, max_messages_per_hour=per_hour)


@pytest.mark.storage
@pytest.mark.django_db
def test_counts_are_replayed_by_address_and_rule():
    hour = buckets.hour_of(NOW)
    ips = {1: "192.0.2.1", 2: "192.0.2.2", 3: "192.0.2.3"}
    for address, rule_id, ago, sent in [
        (1, 7, 30, 90), (1, 7, 29, 20), (1, 7, 2, 60), (2, 7, 2, 41), (3, 7, 2, 40),
        # Another rule, another address, and what is older than seven days.
        (1, 8, 2, 900), (4, 7, 2, 900), (1, 7, 7 * 24, 900),
    ]:  # fmt: skip
        ThrottleCount.objects.create(
            grain=Grain.HOUR, bucket=hour - ago, address_id=address, rule_id=rule_id, sent=sent, deferred=0, bounced=0
        )
    before = table(LimitRule(7, ("gmail.com", "*.gmail.com"), 0, 0), LimitRule(8, ("a.example",), 0, 50))
    after = table(LimitRule(7, ("gmail.com", "*.gmail.com"), 0, 40), LimitRule(8, ("a.example",), 0, 60))
    found = replay_counts(ips, before, after, now=NOW)
    assert found == CountedReplay(
        (
            Delay(
                ("*.gmail.com", "gmail.com"), rule=7, per_hour=40, addresses=("192.0.2.1", "192.0.2.2"),
                attempts=251, delayed=91, hours=3, longest_minutes=75, busiest=60,
            ),
        ),
        is_whole=True,
    )  # fmt: skip
    assert replay_counts({}, before, after, now=NOW) == CountedReplay((), is_whole=True)
    # What moves between rules, and the default, need the events.
    moved = table(LimitRule(7, ("gmail.com",), 0, 40), LimitRule(8, ("a.example", "*.gmail.com"), 0, 60))
    assert not replay_counts(ips, before, moved, now=NOW).is_whole
    lower = table(*before.rule_of.values(), per_hour=5)
    assert replay_counts(ips, before, lower, now=NOW) == CountedReplay((), is_whole=False)


@given(
    st.dictionaries(st.tuples(st.integers(1, 3), st.integers(0, 12)), st.integers(0, 30), max_size=12),
    st.integers(1, 12),
)
def test_a_delay_is_the_sum_of_its_addresses(used, limit):
    of_addresses = {str(a): {hour: n for (b, hour), n in used.items() if a == b} for a in range(1, 4)}
    found = delay_of(7, limit, ["a.example"], of_addresses, last_hour=12)
    each = [slowly(hours, limit) for hours in of_addresses.values()]
    assert found.delayed == sum(delayed for _, delayed, _ in each)
    assert found.hours == len(set().union(*(hours for hours, _, _ in each)))
    assert found.attempts == sum(used.values())


@pytest.mark.django_db
def test_one_worker_replays_and_lets_others_have_their_turn(site, acme, monkeypatch):
    """Each revision has a replay of its own: ten of them must not keep every worker from counting."""
    publish(actor=ANN, now=NOW)
    for address in (site.first, site.third):
        ip_addresses.update(address.pk, {"default": {"max_messages_per_hour": 9}}, actor=ANN)
    draft = read_draft()
    assert len(changed_nodes(draft)) == 2
    job = request_replay(replayed(draft), repeats=None, user_id=1, now=NOW)
    theirs = jobs.start(kind=KIND, label="Another's", parameters=job.parameters, total=2, user_id=2)
    # A worker is at one: another has nothing to do here.
    held = jobs.claim(theirs.pk, at=timezone.now())
    run_replays()
    job.refresh_from_db()
    assert (job.state, job.attempt) == ("waiting", 0)
    jobs.release(held)
    monkeypatch.setattr(replay_jobs, "TURN", datetime.timedelta(0))
    order = []
    step = jobs.step
    monkeypatch.setattr(jobs, "step", lambda job, **of: (order.append(job.pk), step(job, **of)))
    run_replays()
    assert sorted(order[:2]) == sorted(order[2:]) == sorted([job.pk, theirs.pk])
    assert set(Job.objects.values_list("state", flat=True)) == {"done"}


@pytest.mark.django_db
def test_replays_that_have_not_ended_are_few(site, acme):
    publish(actor=ANN, now=NOW)
    ip_addresses.update(site.first.pk, {"default": {"max_messages_per_hour": 9}}, actor=ANN)
    for number in range(replay_jobs.MOST_OPEN):
        jobs.start(kind=KIND, label="Of another draft", parameters={"draft": str(number), "repeats": None})
    with pytest.raises(Conflict, match="10 replays have not ended yet"):
        request_replay(replayed(read_draft()), repeats=None, user_id=None, now=NOW)
