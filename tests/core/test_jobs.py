"""core.jobs: long acts as rows."""

import datetime

import pytest
from django.db import transaction

from core import jobs
from core.models import Job
from tests.cast import NOW
from tests.races import at_once, in_the_open

pytestmark = pytest.mark.django_db
SECOND = datetime.timedelta(seconds=1)


def started(**columns):
    return jobs.start(
        kind="rebuild", label="Rebuild March", parameters={"day": 1}, total=3, organization_id=4, **columns
    )


def row(job):
    return Job.objects.values(
        "state",
        "attempt",
        "cursor",
        "progress_done",
        "progress_total",
        "outcome",
        "failure",
        "heartbeat_at",
        "finished_at",
    ).get(pk=job.pk)


WAITING = {
    "state": "waiting", "attempt": 0, "cursor": None, "progress_done": 0, "progress_total": 3, "outcome": None,
    "failure": "", "heartbeat_at": None, "finished_at": None,
}  # fmt: skip


@pytest.mark.storage
def test_it_works():
    job = started(user_id=5)
    assert (job.kind, job.label, job.parameters) == ("rebuild", "Rebuild March", {"day": 1})
    assert (job.organization_id, job.user_id) == (4, 5)
    assert row(job) == WAITING

    mine = jobs.claim(job.pk, at=NOW)
    assert row(job) == WAITING | {"state": "running", "attempt": 1, "heartbeat_at": NOW}

    with transaction.atomic():
        jobs.step(mine, cursor={"after": 17}, done=2, at=NOW + SECOND)
    running = WAITING | {
        "state": "running", "attempt": 1, "cursor": {"after": 17}, "progress_done": 2, "heartbeat_at": NOW + SECOND,
    }  # fmt: skip
    assert row(job) == running
    assert (mine.cursor, mine.progress_done) == ({"after": 17}, 2)

    jobs.heartbeat(mine, at=NOW + 2 * SECOND)
    jobs.finish(mine, at=NOW + 3 * SECOND, outcome={"days": 31})
    assert row(job) == running | {
        "state": "done", "outcome": {"days": 31}, "heartbeat_at": NOW + 2 * SECOND, "finished_at": NOW + 3 * SECOND,
    }  # fmt: skip


def test_a_running_job_cannot_be_claimed_until_its_worker_falls_silent():
    job = started()
    jobs.claim(job.pk, at=NOW)
    assert jobs.claim(job.pk, at=NOW + jobs.STALE_AFTER) is None
    later = jobs.claim(job.pk, at=NOW + jobs.STALE_AFTER + SECOND)
    assert (later.attempt, later.heartbeat_at) == (2, NOW + jobs.STALE_AFTER + SECOND)


def test_the_next_worker_goes_on_where_the_last_one_was():
    job = started()
    first = jobs.claim(job.pk, at=NOW)
    with transaction.atomic():
        jobs.step(first, cursor=2, done=2, total=9, at=NOW)
    second = jobs.claim(job.pk, at=NOW + 2 * jobs.STALE_AFTER)
    assert (second.cursor, second.progress_done, second.progress_total, second.parameters) == (2, 2, 9, {"day": 1})


@pytest.mark.parametrize(
    "write",
    [
        lambda job: jobs.heartbeat(job, at=NOW),
        lambda job: jobs.step(job, cursor=99, done=3, at=NOW),
        lambda job: jobs.release(job),
        lambda job: jobs.make_way(job),
        lambda job: jobs.finish(job, at=NOW),
        lambda job: jobs.fail(job, at=NOW, failure="Out of memory"),
    ],
    ids=["heartbeat", "step", "release", "make_way", "finish", "fail"],
)
@pytest.mark.parametrize("ended", [False, True])
def test_a_worker_that_lost_its_job_can_write_nothing(write, ended):
    job = started()
    lost = jobs.claim(job.pk, at=NOW)
    taken = jobs.claim(job.pk, at=NOW + 2 * jobs.STALE_AFTER)
    if ended:
        jobs.finish(taken, at=NOW)
    before = row(job)
    with pytest.raises(jobs.Superseded, match="taken over"), transaction.atomic():
        write(lost)
    assert row(job) == before


def test_a_lost_step_is_undone_with_its_cursor():
    job = started()
    lost = jobs.claim(job.pk, at=NOW)
    jobs.claim(job.pk, at=NOW + 2 * jobs.STALE_AFTER)

    @transaction.atomic
    def work() -> None:
        jobs.start(kind="work", label="of the step")
        jobs.step(lost, cursor=1, done=1, at=NOW)

    with pytest.raises(jobs.Superseded):
        work()
    assert not Job.objects.filter(kind="work").exists()


@in_the_open
def test_a_step_outside_a_transaction_is_a_bug():
    job = jobs.claim(started().pk, at=NOW)
    with pytest.raises(RuntimeError):
        jobs.step(job, cursor=1, done=1, at=NOW)


def test_a_released_job_can_be_claimed_at_once():
    job = started()
    jobs.release(jobs.claim(job.pk, at=NOW))
    assert row(job) == WAITING | {"attempt": 1}
    assert jobs.claim(job.pk, at=NOW).attempt == 2


@pytest.mark.storage
def test_a_failure_is_told_whatever_it_holds():
    job = started()
    jobs.fail(jobs.claim(job.pk, at=NOW), at=NOW, failure="Bad \x00 \ud800 byte " + "x" * 5_000)
    assert row(job)["state"] == "failed"
    assert row(job)["failure"] == ("Bad  ? byte " + "x" * 5_000)[:2_000]
    assert jobs.claim(job.pk, at=NOW + 9 * jobs.STALE_AFTER) is None


def test_a_job_that_kills_its_workers_fails():
    job = started()
    at = NOW
    for _ in range(20):
        assert jobs.claim(job.pk, at=at) is not None
        at += 2 * jobs.STALE_AFTER
    assert jobs.claim(job.pk, at=at) is None
    assert row(job) == WAITING | {
        "state": "failed", "attempt": 21, "heartbeat_at": at, "finished_at": at,
        "failure": "It was started 20 times and never finished",
    }  # fmt: skip


class Turns:
    """A clock, and a `run` whose turns take a second each; jobs have as many steps as their `total`."""

    def __init__(self):
        self.at, self.done = NOW, []

    def now(self):
        return self.at

    def run(self, job, *, now):
        self.at += SECOND
        self.done.append((job.user_id, job.pk))
        with transaction.atomic():
            jobs.step(job, cursor=None, done=job.progress_done + 1, at=self.at)
        if job.progress_done == job.progress_total:
            jobs.finish(job, at=self.at)
        else:
            jobs.make_way(job)


@pytest.mark.storage
def test_jobs_of_people_take_turns_and_none_waits_for_all_of_anothers():
    theirs = [started(user_id=1) for _ in range(3)]
    mine = started(user_id=2)
    other = jobs.start(kind="other", label="Another kind")
    turns = Turns()
    assert jobs.take_turns("rebuild", turns.run, now=turns.now, lasts=5 * SECOND) is True
    assert turns.done == [(1, theirs[0].pk), (2, mine.pk)] * 2 + [(1, theirs[0].pk)]
    assert jobs.take_turns("rebuild", turns.run, now=turns.now, lasts=60 * SECOND) is False
    assert turns.done[5:] == [(2, mine.pk)] + [(1, each.pk) for each in theirs[1:] for _ in range(3)]
    assert set(Job.objects.exclude(pk=other.pk).values_list("state", flat=True)) == {"done"}
    assert row(other)["state"] == "waiting"


def test_a_job_that_gets_on_is_taken_up_as_often_as_it_needs():
    job = jobs.start(kind="rebuild", label="Long", total=60)
    turns = Turns()
    assert jobs.take_turns("rebuild", turns.run, now=turns.now, lasts=600 * SECOND) is False
    assert (row(job)["state"], row(job)["attempt"]) == ("done", 60)


def test_one_worker_at_a_time_takes_turns():
    first, second = started(), started()
    turns = Turns()
    held = jobs.claim(first.pk, at=NOW)
    assert jobs.take_turns("rebuild", turns.run, now=turns.now, lasts=SECOND) is False
    assert turns.done == []
    # It fell silent.
    turns.at = held.heartbeat_at + 2 * jobs.STALE_AFTER
    assert jobs.take_turns("rebuild", turns.run, now=turns.now, lasts=60 * SECOND) is False
    assert {row(each)["state"] for each in (first, second)} == {"done"}


@in_the_open
def test_of_many_workers_one_takes_turns():
    for _ in range(4):
        started()
    claims = at_once(*[lambda: jobs._claim_turn("rebuild", at=NOW)] * 4)
    assert [claim is not None for claim in claims].count(True) == 1


def test_an_unknown_job_is_nobodys():
    assert jobs.claim(10**12, at=NOW) is None


@in_the_open
def test_of_many_claimers_one_gets_the_job():
    job = started()
    claims = at_once(*[lambda: jobs.claim(job.pk, at=NOW)] * 6)
    assert [claim is not None for claim in claims].count(True) == 1
    assert row(job)["attempt"] == 1
