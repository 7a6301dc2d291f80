"""Sessions are read by a statement that is made once, and are otherwise Django's."""

import datetime

import pytest
from django.contrib.sessions.models import Session
from django.utils import timezone

from core.sessions import SessionStore

pytestmark = [pytest.mark.django_db, pytest.mark.storage]


def stored(seconds: int = 60) -> str:
    session = SessionStore()
    session["name"] = "Ada"
    session.create()
    until = timezone.now() + datetime.timedelta(seconds=seconds)
    Session.objects.filter(pk=session.session_key).update(expire_date=until)
    return str(session.session_key)


def test_it_reads_a_session(django_assert_num_queries):
    key = stored()
    with django_assert_num_queries(1):
        session = SessionStore(key)
        assert session["name"] == "Ada"
        assert session.session_key == key
    session["name"] = "Bob"
    session.save()
    assert SessionStore(key)["name"] == "Bob"


@pytest.mark.parametrize(
    "key", [None, "", "short", "unknown-but-long-enough", "' OR 1=1 --", "eight-or\x00more", "é" * 32]
)
def test_an_unknown_one_holds_nothing_and_loses_its_key(key):
    session = SessionStore(key)
    assert not list(session.keys())
    assert session.session_key is None


def test_an_expired_one_holds_nothing_and_its_key_is_not_used_again():
    key = stored(-1)
    session = SessionStore(key)
    assert "name" not in session
    session["name"] = "Eve"
    session.save()
    assert session.session_key not in (None, key)


@pytest.mark.parametrize("path", ["/admin/login/", "/api/v1/servers/list"])
def test_a_cookie_that_can_be_no_key_is_no_crash(client, path):
    """In quotes, cookies have octal numbers: NUL, which PostgreSQL refuses, was a 500 with a long traceback, for anybody."""
    client.cookies.load('sluice_session="abcdefgh\\000"')
    assert client.cookies["sluice_session"].value == "abcdefgh\x00"
    assert client.get(path).status_code < 500
