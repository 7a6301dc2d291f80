"""Questions are made once, and asked at any time with what depends on it."""

import datetime
from typing import Any

import pytest
from django.db.models import F
from django.utils import timezone

from alerts import asking, conditions
from alerts.asking import Question, ask
from alerts.measures import Measures
from alerts.scope import PLATFORM
from alerts.topics.look import MOMENT, YESTERDAY, days, hours
from core.models import Job
from stats.counts import buckets
from tests.factories import A_MOMENT, JobFactory, ServerFactory

pytestmark = [pytest.mark.storage, pytest.mark.django_db]
HOUR = datetime.timedelta(hours=1)
NOTHING = Measures([], {}, {}, {}, [], 0)


def test_one_query_answers_for_every_time() -> None:
    old = JobFactory()
    Job.objects.filter(pk=old.pk).update(created_at=A_MOMENT - 3 * HOUR)
    new = JobFactory()
    Job.objects.filter(pk=new.pk).update(created_at=A_MOMENT)
    made: list[int] = []

    def questions() -> list[Question]:
        made.append(1)
        rows = Job.objects.filter(created_at__lt=MOMENT - HOUR)
        return [Question("jobs", rows, {"pk": F("pk")}, 1)]

    def found(at: datetime.datetime) -> list[tuple[int, Any]]:
        return [(row.of_all, row["pk"]) for row in ask(questions, key="test of jobs", at=at)["jobs"]]

    assert found(A_MOMENT - 2 * HOUR) == []
    assert found(A_MOMENT) == [(1, old.pk)]
    assert found(A_MOMENT + 2 * HOUR) == [(2, old.pk)]
    assert made == [1]


def test_what_is_given_follows_the_time() -> None:
    at = A_MOMENT + 30 * HOUR
    assert [each.of(at) for each in days(3)] == [buckets.day_of(at) - before for before in range(3)]
    assert YESTERDAY.of(at) == at.date() - datetime.timedelta(days=1)
    current = buckets.hour_of(at)
    assert [each.of(at) for each in hours().recent] == [current - 3, current - 2, current - 1, current]
    assert {(current - each.of(at)) % 24 for each in hours().usual} == {1, 2, 3}
    assert len(hours().usual) == 21


def test_the_conditions_questions_are_made_once_for_a_scope_and_see_what_is_new(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = timezone.now()

    def found() -> list[str]:
        return [each.text for each in conditions.found(PLATFORM, NOTHING, now) if each.condition == "server_suspended"]

    assert found() == []
    monkeypatch.setattr(asking, "_query", None)
    for number in (1, 2):
        ServerFactory(suspended_at=now, suspended_until=now + number * HOUR)
        assert len(found()) == number
    now += 1.5 * HOUR
    assert len(found()) == 1


def test_a_quota_of_the_settings_is_part_of_the_questions(settings: Any) -> None:
    ServerFactory()

    def found() -> int:
        return sum(each.condition == "quota" for each in conditions.found(PLATFORM, NOTHING, A_MOMENT))

    assert found() == 0
    settings.SLUICE_QUOTAS = settings.SLUICE_QUOTAS | {"max_servers": 1}
    assert found() == 1
