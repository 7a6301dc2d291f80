"""What the worker does for accounts."""

import datetime

import pytest
from django.contrib.sessions.models import Session
from django.utils import timezone

from config.celery import SCHEDULE, app
from core.sessions import SessionStore
from core.tasks import forget_sessions

pytestmark = pytest.mark.django_db


def test_only_expired_sessions_are_forgotten() -> None:
    for name, seconds in (("living", 60), ("expired", -60)):
        session = SessionStore()
        session["name"] = name
        session.create()
        Session.objects.filter(pk=session.session_key).update(
            expire_date=timezone.now() + datetime.timedelta(seconds=seconds)
        )
    forget_sessions()
    assert [session.get_decoded()["name"] for session in Session.objects.all()] == ["living"]


def test_it_is_on_the_schedule() -> None:
    assert "core.tasks.forget_sessions" in {task for _, task, _, _ in SCHEDULE}
    assert "core.tasks.forget_sessions" in app.tasks
