"""Beat's memory: last runs two days back and ahead, and clocks that are set while it runs."""

import datetime
import time
from pathlib import Path

import pytest
import time_machine
from celery.beat import ScheduleEntry

from config.celery import DELETING, SCHEDULE, app
from config.last_runs import InFile
from config.leader import FileLock
from config.schedule import STANDING_BY, Schedule
from config.steady_clock import SEEN, STEADY_SINCE

NAMES = {name for name, *_ in SCHEDULE}
NOON = datetime.datetime(2026, 11, 18, 12, 0, tzinfo=datetime.UTC)
# Every task but those whose moment has not come since the last run.
INTERVALS = {name for name, _, when, _ in SCHEDULE if isinstance(when, datetime.timedelta)}


class Recorded(Schedule):
    """Notes what it would send, and keeps files whichever way the tests run."""

    @staticmethod
    def shared(path: Path) -> tuple[InFile, FileLock]:
        return InFile(path.with_suffix(".json")), FileLock(path.with_suffix(".lock"))

    def apply_async(self, entry: ScheduleEntry, **kwargs: object) -> None:
        self.sent.append(entry.name)


@pytest.fixture
def open_beside(tmp_path):
    """Open one more schedule of the same installation."""
    opened = []

    def open_one_more() -> Recorded:
        opened.append(Recorded(app, schedule_filename=str(tmp_path / "not there yet" / "beat")))
        opened[-1].sent = []
        return opened[-1]

    yield open_one_more
    for each in opened:
        each.close()


@pytest.fixture
def open_schedule(open_beside):
    """Open the schedule again, after the end of the beat that had it."""
    opened = []

    def open_again() -> Recorded:
        for earlier in opened:
            earlier.close()
        opened[:] = [open_beside()]
        return opened[0]

    return open_again


def run(schedule: Recorded) -> set[str]:
    """Tick until nothing is due, and return what was sent, each once."""
    schedule.sent = []
    while schedule.tick() <= 0:
        pass
    assert len(schedule.sent) == len(set(schedule.sent)), schedule.sent
    return set(schedule.sent)


def remember(schedule: Recorded, moment: datetime.datetime) -> None:
    """Let all tasks have run at a moment, by a clock that has been steady for a day."""
    for entry in schedule.schedule.values():
        entry.last_run_at = moment
    steady = {SEEN: moment, STEADY_SINCE: moment - datetime.timedelta(days=1)}
    schedule.memory.write(dict.fromkeys(schedule.schedule, moment) | steady)
    schedule.clock.go_on(steady)


def test_a_new_memory_waits_for_each_task_s_moment(open_schedule):
    with time_machine.travel(NOON, tick=False):
        assert run(open_schedule()) == set()


def test_last_runs_two_days_back_are_made_up_for_once(open_schedule):
    with time_machine.travel(NOON, tick=False):
        remember(open_schedule(), NOON - datetime.timedelta(days=2))
        schedule = open_schedule()
        assert run(schedule) == NAMES
        assert run(schedule) == set()


def test_last_runs_two_days_ahead_stop_nothing(open_schedule):
    with time_machine.travel(NOON, tick=False):
        remember(open_schedule(), NOON + datetime.timedelta(days=2))
        schedule = open_schedule()
        assert run(schedule) == NAMES
        assert run(schedule) == set()
    with time_machine.travel(NOON + datetime.timedelta(minutes=16), tick=False):
        assert run(open_schedule()) == INTERVALS


def test_a_clock_set_back_while_it_runs_stops_nothing(open_schedule, monkeypatch):
    monotonic = time.monotonic()
    monkeypatch.setattr("config.schedule.time.monotonic", lambda: monotonic)
    schedule = open_schedule()
    with time_machine.travel(NOON, tick=False):
        run(schedule)
        remember(schedule, NOON)
    with time_machine.travel(NOON - datetime.timedelta(days=2), tick=False):
        assert run(schedule) == NAMES
        assert run(schedule) == set()


def test_a_clock_corrected_by_a_little_changes_nothing(open_schedule):
    with time_machine.travel(NOON, tick=False):
        schedule = open_schedule()
        remember(schedule, NOON + datetime.timedelta(seconds=2))
        assert run(schedule) == set()


def test_only_the_leader_sends(open_beside):
    with time_machine.travel(NOON, tick=False) as clock:
        leader, other = open_beside(), open_beside()
        run(leader)
        assert other.tick() == STANDING_BY
        clock.shift(5)
        assert {"count new events", "deliver webhooks"} <= run(leader)
        assert other.tick() == STANDING_BY
        assert other.sent == []


@pytest.mark.parametrize("seconds", [3, 5, 30, 90_000])
def test_another_goes_on_where_a_killed_leader_stopped(open_beside, seconds):
    """What is due in between is sent once, and nothing that was sent is sent again."""
    with time_machine.travel(NOON, tick=False) as clock:
        leader, other = open_beside(), open_beside()
        run(leader)
        clock.shift(5)
        before = run(leader)
        # As the kernel does when a process ends, however it ends: nothing is written.
        leader.lock.release()
        clock.shift(seconds)
        intervals = {name: when for name, _, when, _ in SCHEDULE if isinstance(when, datetime.timedelta)}
        due = {
            name for name, when in intervals.items() if when.total_seconds() <= seconds + (0 if name in before else 5)
        }
        after = run(other)
        assert after & set(intervals) == due
        assert (after - set(intervals) == NAMES - set(intervals)) is (seconds > 86_400)
        assert run(other) == set()


def test_a_leader_that_comes_back_sends_nothing_twice(open_beside):
    with time_machine.travel(NOON, tick=False) as clock:
        first, second = open_beside(), open_beside()
        run(first)
        first.lock.release()
        clock.shift(60)
        assert run(second) >= {"count new events", "check domains"}
        second.lock.release()
        assert run(first) == set()


def test_what_cannot_be_read_is_forgotten(open_schedule):
    with time_machine.travel(NOON, tick=False):
        schedule = open_schedule()
        run(schedule)
        schedule.memory.path.write_text('{"count new events": 7')
        assert run(open_schedule()) == set()


def test_a_clock_that_is_a_year_ahead_deletes_nothing_for_a_day(open_schedule):
    year = datetime.timedelta(days=400)
    with time_machine.travel(NOON, tick=False):
        remember(open_schedule(), NOON)
    with time_machine.travel(NOON + year, tick=False) as clock:
        assert run(open_schedule()) == NAMES - DELETING
        # Neither a restart nor another beat makes it steady.
        clock.shift(datetime.timedelta(hours=23))
        assert not run(open_schedule()) & DELETING
        clock.shift(datetime.timedelta(hours=3))
        assert "prune fine counts" in run(open_schedule())


def test_after_it_was_set_back_deletion_waits_for_a_day(open_schedule):
    with time_machine.travel(NOON, tick=False):
        remember(open_schedule(), NOON + datetime.timedelta(days=400))
    with time_machine.travel(NOON, tick=False) as clock:
        schedule = open_schedule()
        assert run(schedule) == NAMES - DELETING
        clock.shift(datetime.timedelta(days=1))
        run(schedule)
        clock.shift(datetime.timedelta(days=1))
        assert run(schedule) >= DELETING


def test_a_clock_that_was_never_seen_deletes_nothing_for_a_day(open_schedule):
    with time_machine.travel(NOON, tick=False) as clock:
        schedule = open_schedule()
        run(schedule)
        clock.shift(datetime.timedelta(hours=16))
        assert not run(schedule) & DELETING


def test_days_without_a_beat_are_no_jump(open_schedule):
    with time_machine.travel(NOON, tick=False):
        remember(open_schedule(), NOON)
    with time_machine.travel(NOON + datetime.timedelta(days=6), tick=False):
        assert run(open_schedule()) == NAMES


def test_whatever_deletes_by_age_is_held_back():
    """By what the tasks say of themselves."""
    app.loader.import_default_modules()
    tasks = {name: app.tasks[task].__doc__ for name, task, *_ in SCHEDULE}
    assert {name for name, says in tasks.items() if says.startswith(("Delete", "Drop expired"))} == DELETING


def test_a_worker_whose_clock_is_ahead_by_less_than_a_minute_drops_no_message():
    assert all(entry["options"]["expires"] >= 60 for entry in app.conf.beat_schedule.values())
