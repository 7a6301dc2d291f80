"""manage.py createsuperuser: Django's own, on our user."""

import pytest

from core.audit import Actor
from core.models import User
from core.users import document
from tests.cast import last_entry, written_by

pytestmark = pytest.mark.django_db
COMMAND = "createsuperuser"
ANN = ["--username", "ann", "--email", "ann@example.com"]


@pytest.fixture(autouse=True)
def _password(monkeypatch):
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", "correct horse battery")


@pytest.mark.storage
def test_it_works(run):
    answer = run(COMMAND, *ANN, "--json").document
    user = User.objects.get()
    assert answer == {"id": user.pk, "username": "ann", "email": "ann@example.com"}
    assert (user.is_superuser, user.is_staff, user.is_active) == (True, True, True)
    assert (user.time_zone, user.api_level) == ("UTC", "no")
    assert user.check_password("correct horse battery")
    assert written_by(Actor.of_command(COMMAND)) == [("user.created", "ann", None)]
    assert last_entry().after == document(user)
    assert "password" not in last_entry().after


def test_it_works_as_djangos_own(run):
    assert run(COMMAND, *ANN, "--noinput").stdout == "Superuser created successfully.\n"
    assert written_by(Actor.of_command(COMMAND)) == [("user.created", "ann", None)]


def test_it_rejects_a_name_that_is_taken(run):
    run(COMMAND, *ANN, "--json")
    ended = run(COMMAND, *ANN, "--json")
    assert (ended.stdout, ended.error) == ("", "Error: That username is already taken.")
    assert User.objects.count() == 1


def test_it_rejects_no_name(run, monkeypatch):
    monkeypatch.delenv("DJANGO_SUPERUSER_USERNAME", raising=False)
    ended = run(COMMAND, "--email", "ann@example.com", "--json")
    assert (ended.stdout, ended.error) == ("", "You must use --username with --noinput.")
