"""API tokens, and the commands that make and end them."""

import datetime
import json

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from core.audit import Actor
from core.errors import Invalid
from core.keys import digest
from core.models import ApiToken, AuditEntry, User
from core.tokens import create_token, revoke_token, token_of

SYSTEM = Actor.system()
NOW = datetime.datetime(2026, 11, 18, 10, tzinfo=datetime.UTC)


@pytest.fixture
def user(db):
    return User.objects.create(username="ann", api_level="yes")


def make(user, **changes):
    return create_token(**{"user": user, "name": "CI", "expires_at": None, "at": NOW, "actor": SYSTEM, **changes})


def test_a_token_is_stored_as_its_digest(user):
    created = make(user)
    stored = ApiToken.objects.get()
    assert (stored.name, stored.key_prefix, stored.key_digest) == ("CI", created.key[:6], digest(created.key))
    assert len(created.key) == 32
    entry = AuditEntry.objects.get(act="api_token.created")
    assert created.key not in str((entry.before, entry.after))
    assert stored.key_digest not in str((entry.before, entry.after))


@pytest.mark.parametrize("name", ["", "   ", "x" * 201, "a\x00b"])
def test_a_token_needs_a_name(user, name):
    with pytest.raises(Invalid, match="name must be"):
        make(user, name=name)


def test_a_token_cannot_have_ended_before_it_is_made(user):
    with pytest.raises(Invalid, match="expires_at must be in the future"):
        make(user, expires_at=NOW)


def test_it_is_found_by_its_key_its_user_and_its_time(user):
    created = make(user, expires_at=NOW + datetime.timedelta(days=1))
    other = User.objects.create(username="bob")

    def find(username="ann", key=created.key, at=NOW):
        return token_of(username=username, key=key, at=at)

    assert find() == created.token
    assert find(username=other.username) is None
    assert find(key=created.key[:-1]) is None
    assert find(at=NOW + datetime.timedelta(days=1)) is None
    for odd in ("\x00", "\ud800"):
        assert find(username=odd) is None
        assert find(key=odd) is None


def test_revoking_ends_it_once(user):
    created = make(user)
    assert revoke_token(token=created.token, at=NOW, actor=SYSTEM) is True
    assert revoke_token(token=created.token, at=NOW + datetime.timedelta(days=1), actor=SYSTEM) is False
    assert token_of(username="ann", key=created.key, at=NOW) is None
    assert ApiToken.objects.get().revoked_at == NOW
    assert AuditEntry.objects.filter(act="api_token.revoked").count() == 1


# --- the commands -------------------------------------------------------------------------------------------------------


def test_create_api_token_prints_the_key_once(user, capsys):
    call_command("create_api_token", "ann", "CI", "--expires-in-days", "30")
    printed = capsys.readouterr()
    token = ApiToken.objects.get()
    assert printed.out.startswith(f"Token {token.pk} of ann: {token.key_prefix}")
    assert digest(printed.out.split(": ")[1].strip()) == token.key_digest
    assert printed.err == ""
    assert datetime.timedelta(days=29) < token.expires_at - timezone.now() < datetime.timedelta(days=31)


def test_create_api_token_json_is_one_object(user, capsys):
    call_command("create_api_token", "ann", "CI", "--json")
    printed = json.loads(capsys.readouterr().out)
    token = ApiToken.objects.get()
    assert digest(printed.pop("token")) == token.key_digest
    assert printed == {"id": token.pk, "username": "ann", "name": "CI", "expires_at": None}


def test_create_api_token_says_when_its_user_has_no_access(user, capsys):
    User.objects.update(api_level="no")
    call_command("create_api_token", "ann", "CI")
    assert "ann has no API access yet" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("bob", "CI"), "The user bob could not be found"),
        (("ann", ""), "name must be from 1 to 200 characters"),
        (("ann", "CI", "--expires-in-days", "0"), "--expires-in-days must be from 1 to 36525"),
        (("ann", "CI", "--expires-in-days", "36526"), "--expires-in-days must be from 1 to 36525"),
    ],
)
def test_create_api_token_refuses(user, arguments, sentence):
    with pytest.raises(CommandError, match=sentence):
        call_command("create_api_token", *arguments)
    assert not ApiToken.objects.exists()


def test_revoke_api_token(user, capsys):
    token = make(user).token
    call_command("revoke_api_token", str(token.pk))
    assert capsys.readouterr().out == f"CI ({token.key_prefix}…) is revoked\n"
    call_command("revoke_api_token", str(token.pk))
    assert capsys.readouterr().out == f"CI ({token.key_prefix}…) was already revoked\n"
    with pytest.raises(CommandError, match="The API token 999999 could not be found"):
        call_command("revoke_api_token", "999999")
