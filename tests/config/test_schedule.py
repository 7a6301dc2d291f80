"""Beat's memory: last runs two days back and ahead, and clocks that are set while it runs."""

import datetime
import time

import pytest
import time_machine
from celery.beat import ScheduleEntry

from config.celery import SCHEDULE, app
from config.schedule import Schedule

NAMES = {name for name, *_ in SCHEDULE}
NOON = datetime.datetime(2026, 11, 18, 12, 0, tzinfo=datetime.UTC)
# Every task but those whose moment has not come since the last run.
INTERVALS = {name for name, _, when, _ in SCHEDULE if isinstance(when, datetime.timedelta)}


class Recorded(Schedule):
    """Notes what it would send."""

    def apply_entry(self, entry: ScheduleEntry, producer: object = None) -> None:
        self.sent.append(entry.name)


@pytest.fixture
def open_schedule(tmp_path):
    opened = []

    def open_again() -> Recorded:
        for earlier in opened:
            earlier.close()
        opened[:] = [Recorded(app, schedule_filename=str(tmp_path / "not there yet" / "beat"))]
        opened[0].sent = []
        return opened[0]

    yield open_again
    for each in opened:
        each.close()


def run(schedule: Recorded) -> set[str]:
    """Tick until nothing is due, and return what was sent, each once."""
    schedule.sent = []
    while schedule.tick() <= 0:
        pass
    assert len(schedule.sent) == len(set(schedule.sent)), schedule.sent
    return set(schedule.sent)


def remember(schedule: Recorded, moment: datetime.datetime) -> None:
    for entry in schedule.schedule.values():
        entry.last_run_at = moment


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
