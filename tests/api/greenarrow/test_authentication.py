"""HTTP Basic: passwords, tokens, lock-out, second factors. (The levels: test_every_endpoint.py.)"""

import base64
import datetime

import pytest
import time_machine
from django.contrib.auth.hashers import check_password
from django.core.cache import cache
from django.utils import timezone
from django_otp.plugins.otp_totp.models import TOTPDevice
from redis.exceptions import ConnectionError as RedisAway

from core import lockout, password_checks
from core.models import ApiToken
from core.tokens import revoke_token
from servers.models import Membership
from servers.provisioning import create_organization
from tests.api.greenarrow.conftest import PASSWORD, SYSTEM, Caller, basic, make_token, make_user, refusal

WRONG = refusal("not_authorized", "The user name, password or API token is not valid")
NOBODY = refusal(
    "not_authorized", "Authentication is required: send a user name with its password or an API token by HTTP Basic"
)
LOCKED_OUT = refusal(
    "requested_too_many", "Too many wrong passwords: try again later, or use an API token as the password"
)


def get(username, password, *, status=200, **headers):
    return Caller(basic(username, password)).raw("GET", "ip_addresses", status=status, **headers)


@pytest.fixture
def hashes(monkeypatch):
    """Count the passwords that are hashed."""
    found = []

    def counted(password, encoded):
        found.append(password)
        return check_password(password, encoded)

    monkeypatch.setattr("api.greenarrow.authentication.check_password", counted)
    return found


def test_a_password(operator):
    assert get("operator", PASSWORD)["success"] is True


def test_a_token(operator):
    key = make_token(operator)
    assert get("operator", key)["success"] is True
    assert key not in str(list(ApiToken.objects.values()))


def test_passwords_and_names_of_any_characters(db):
    user = make_user("jürgen", "yes")
    user.set_password("a:b:ü€")
    user.save()
    assert get("jürgen", "a:b:ü€")["success"] is True
    latin = "Basic " + base64.b64encode("jürgen:wrong".encode("latin-1")).decode()
    assert Caller(latin).raw("GET", "ip_addresses", status=401) == WRONG


@pytest.mark.parametrize(
    ("header", "answer"),
    [
        ("", NOBODY),
        ("Bearer abc", NOBODY),
        ("Basic", WRONG),
        ("Basic !!!", WRONG),
        ("Basic " + base64.b64encode(b"no colon").decode(), WRONG),
        ("Basic " + base64.b64encode(b":").decode(), WRONG),
        ("Basic " + base64.b64encode(b"a\x00b:c\x00").decode(), WRONG),
        ("Basic " + base64.b64encode(b"\xff\xfe:\xff").decode(), WRONG),
        ("Basic " + base64.b64encode(b"x" * 5000 + b":y").decode(), WRONG),
    ],
)
def test_a_header_that_proves_nothing(db, header, answer):
    assert Caller(header).raw("GET", "ip_addresses", status=401) == answer


def test_unknown_and_inactive_users_and_wrong_passwords_are_one_answer(operator):
    make_user("gone", "yes", is_active=False)
    for username, password in (("operator", "wrong"), ("nobody", PASSWORD), ("gone", PASSWORD), ("OPERATOR", PASSWORD)):
        assert get(username, password, status=401) == WRONG


def test_a_token_is_its_user_s_alone(operator):
    other = make_user("other", "yes")
    assert get("operator", make_token(other), status=401) == WRONG


def test_a_token_ends(operator):
    now = timezone.now()
    key = make_token(operator, expires_at=now + datetime.timedelta(hours=1))
    with time_machine.travel(now + datetime.timedelta(minutes=59), tick=False):
        get("operator", key)
    with time_machine.travel(now + datetime.timedelta(minutes=60), tick=False):
        assert get("operator", key, status=401) == WRONG
    key = make_token(operator)
    revoke_token(token=operator.api_tokens.get(expires_at=None), at=now, actor=SYSTEM)
    assert get("operator", key, status=401) == WRONG


def test_a_token_of_an_inactive_user_is_worth_nothing(operator):
    key = make_token(operator)
    operator.is_active = False
    operator.save()
    assert get("operator", key, status=401) == WRONG


def test_the_last_use_is_noted_once_a_minute(operator):
    start = datetime.datetime(2026, 11, 18, 10, tzinfo=datetime.UTC)
    key = make_token(operator)
    for seconds, noted in ((0, 0), (59, 0), (61, 61)):
        with time_machine.travel(start + datetime.timedelta(seconds=seconds), tick=False):
            get("operator", key)
        assert operator.api_tokens.get().last_used_at == start + datetime.timedelta(seconds=noted)


def test_a_password_is_hashed_once_a_minute(operator, hashes):
    for _ in range(3):
        get("operator", PASSWORD)
    assert len(hashes) == 1
    # Neither the password nor the name is what the cache is asked by.
    operator.set_password("another password")
    operator.save()
    assert get("operator", PASSWORD, status=401) == WRONG
    get("operator", "another password")
    assert len(hashes) == 3


def test_a_remembered_password_of_an_inactive_user_is_worth_nothing(operator):
    get("operator", PASSWORD)
    operator.is_active = False
    operator.save()
    assert get("operator", PASSWORD, status=401) == WRONG


def test_ten_wrong_passwords_lock_the_name_out_at_this_address(operator, hashes):
    for _ in range(10):
        assert get("operator", "wrong", status=401) == WRONG
    key = make_token(operator)
    caller = Caller(basic("operator", PASSWORD))
    assert caller.raw("GET", "ip_addresses", status=429) == LOCKED_OUT
    assert caller.response["Retry-After"] == "300"
    assert len(hashes) == 10
    # A token still works; so does another name here, and the same name elsewhere.
    get("operator", key)
    make_user("other", "yes")
    get("other", PASSWORD)
    response = Caller("").client.get(
        "/ga/api/v3/eng/ip_addresses", headers={"Authorization": basic("operator", PASSWORD)}, REMOTE_ADDR="192.0.2.9"
    )
    assert response.status_code == 200


def test_one_too_many_at_a_moment_is_refused_and_not_counted(operator, settings):
    settings.SLUICE_WEB_THREADS = 2
    busy = refusal("requested_too_many", "Too many people sign in at this moment. Try again in a few seconds")
    assert get("operator", PASSWORD)["success"] is True
    with password_checks.in_turn("127.0.0.1"):
        for name in ("operator", "nobody"):
            for _ in range(2 * lockout.FAILURES_OF_NAME):
                assert get(name, "wrong", status=429) == busy
        # A remembered one needs no turn.
        assert get("operator", PASSWORD)["success"] is True
    assert get("nobody", "wrong", status=401) == WRONG


def test_names_that_do_not_exist_are_counted_too(db):
    for _ in range(10):
        get("nobody", "wrong", status=401)
    assert get("nobody", "wrong", status=429) == LOCKED_OUT


def test_a_right_password_forgets_the_failures(operator):
    for _ in range(9):
        get("operator", "wrong", status=401)
    get("operator", PASSWORD)
    for _ in range(9):
        get("operator", "wrong", status=401)
    get("operator", PASSWORD)


def test_a_client_cannot_move_by_a_header_of_its_own(operator):
    for number in range(10):
        get("operator", "wrong", status=401, **{"X-Forwarded-For": f"192.0.2.{number}"})
    assert get("operator", PASSWORD, status=429) == LOCKED_OUT


def test_a_trusted_proxy_s_header_counts(operator, settings):
    settings.SLUICE_TRUSTED_PROXIES = ["127.0.0.0/8"]
    for number in range(10):
        get("operator", "wrong", status=401, **{"X-Forwarded-For": f"192.0.2.{number}"})
    get("operator", PASSWORD, **{"X-Forwarded-For": "192.0.2.1"})


def test_without_the_cache_passwords_wait_and_tokens_work(operator, monkeypatch):
    def away(*args, **kwargs):
        raise RedisAway("refused")

    for name in ("get", "get_many", "set", "add", "incr", "delete"):
        monkeypatch.setattr(type(cache._connections[cache._alias]), name, away)
    caller = Caller(basic("operator", PASSWORD))
    assert caller.raw("GET", "ip_addresses", status=503)["error_code"] == "internal_error"
    assert caller.response["Retry-After"] == "5"
    get("operator", make_token(operator))


def test_a_second_factor_wants_a_token(operator):
    TOTPDevice.objects.create(user=operator, name="phone", confirmed=False)
    get("operator", PASSWORD)
    TOTPDevice.objects.update(confirmed=True)
    assert get("operator", PASSWORD, status=401) == refusal(
        "not_authorized", "This user signs in with a second factor: use an API token as the password"
    )
    # Nobody who does not know the password is told.
    assert get("operator", "wrong", status=401) == WRONG
    get("operator", make_token(operator))


def test_an_organization_that_requires_a_second_factor_wants_a_token_too(operator):
    organization = create_organization(at=timezone.now(), name="ACME", requires_second_factor=True, actor=SYSTEM)
    Membership.objects.create(user=operator, organization=organization, role="owner")
    operator.is_superuser = True
    operator.save()
    assert get("operator", PASSWORD, status=401) == refusal(
        "not_authorized", "The user's organization requires a second factor: use an API token as the password"
    )
    assert get("operator", "wrong", status=401) == WRONG
    get("operator", make_token(operator))


def test_people_of_organizations_have_no_access(operator):
    organization = create_organization(at=timezone.now(), name="ACME Inc", permalink="acme", actor=SYSTEM)
    Membership.objects.create(user=operator, organization=organization, role="owner")
    assert get("operator", make_token(operator), status=403) == refusal("forbidden", "You don't have API access")
    operator.is_superuser = True
    operator.save()
    get("operator", PASSWORD)


def test_a_superuser_made_by_the_command_has_access(db):
    from django.core.management import call_command

    from api.greenarrow.authentication import level_of
    from core.models import User

    call_command("createsuperuser", username="boss", email="boss@example.com", interactive=False)
    boss = User.objects.get(username="boss")
    assert boss.api_level == User.ApiLevel.NO
    boss.set_password(PASSWORD)
    boss.save()
    assert level_of(boss) == User.ApiLevel.YES


def test_the_limits_of_the_lock_out():
    assert (lockout.FAILURES_OF_NAME, lockout.FAILURES_OF_ADDRESS, lockout.LOCKED_FOR) == (10, 100, 300)
