"""Signing in: the password, the code, the lock-out, and one's own account."""

import base64
import re

import pytest
import time_machine
from django.test import Client
from django.urls import reverse
from django_otp.oath import TOTP
from django_otp.plugins.otp_static.models import StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from core import lockout, password_checks, second_factor
from core.audit import Actor
from core.models import AuditEntry
from panel.sign_in.login import LOCKED_OUT, WRONG_CODE
from tests.panel.conftest import NOW, PASSWORD, make_person, sign_in

LOGIN, INDEX = "/admin/login/", "/admin/"


@pytest.fixture
def clock():
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def ann(db):
    return make_person("ann", is_superuser=True)


def code_of(device, *, later=0):
    return f"{TOTP(device.bin_key, device.step, device.t0, device.digits, later).token():06d}"


def give(client, password=PASSWORD, username="ann", **more):
    return client.post(LOGIN, {"username": username, "password": password, **more})


@pytest.fixture
def device(ann, clock):
    pending = second_factor.begin(ann)
    confirmed, _ = second_factor.confirm(user=ann, number=pending.pk, code=code_of(pending), actor=Actor.of_user(ann))
    clock.shift(60)
    return confirmed


def is_in(client):
    return client.get(INDEX).status_code == 200


def test_the_password_signs_in_who_has_no_second_factor(ann):
    client = Client()
    assert not is_in(client)
    refused = give(client, password="wrong").content.decode()
    assert "No account that may use the panel has this username and password" in refused
    assert "Not saved" not in refused
    response = give(client)
    assert (response.status_code, response.headers["Location"]) == (302, INDEX)
    assert is_in(client)


def test_it_goes_on_to_where_one_wanted_to_be_but_not_off_the_site(ann):
    wanted = reverse("admin:servers_server_changelist")
    assert give(Client(), next=wanted).headers["Location"] == wanted
    assert give(Client(), next="https://evil.example/").headers["Location"] == INDEX


def test_guessing_passwords_is_locked_out_also_with_the_right_one(ann):
    client = Client()
    for _ in range(lockout.FAILURES_OF_NAME):
        assert LOCKED_OUT not in give(client, "wrong").content.decode()
    refused = give(client)
    assert refused.status_code == 200
    assert LOCKED_OUT in refused.content.decode()
    assert not is_in(client)


def test_the_lock_out_is_the_one_of_http_basic(ann):
    for _ in range(lockout.FAILURES_OF_NAME):
        lockout.count_failure(lockout.Secret.PASSWORD, username="ann", address="127.0.0.1")
    assert LOCKED_OUT in give(Client()).content.decode()


def test_a_right_password_forgets_the_wrong_ones(ann):
    client = Client()
    for _ in range(lockout.FAILURES_OF_NAME - 1):
        give(client, "wrong")
    assert give(client).status_code == 302
    give(Client(), "wrong")
    assert not lockout.is_locked_out(username="ann", address="127.0.0.1")


def test_the_password_alone_is_not_enough_with_a_second_factor(ann, device):
    client = Client()
    response = give(client)
    assert response.headers["Location"] == reverse("admin:login_code")
    assert not is_in(client)
    wrong = client.post(reverse("admin:login_code"), {"code": "000000"})
    assert WRONG_CODE in wrong.content.decode().replace("&#x27;", "'")
    assert not is_in(client)


def test_the_code_signs_in(ann, device):
    client = Client()
    wanted = reverse("admin:servers_server_changelist")
    give(client, next=wanted)
    response = client.post(reverse("admin:login_code"), {"code": code_of(device)})
    assert (response.status_code, response.headers["Location"]) == (302, wanted)
    assert is_in(client)


def test_a_code_works_once(ann, device):
    first, second = Client(), Client()
    code = code_of(device)
    give(first)
    assert first.post(reverse("admin:login_code"), {"code": code}).status_code == 302
    give(second)
    assert second.post(reverse("admin:login_code"), {"code": code}).status_code == 200
    assert not is_in(second)


def test_a_recovery_code_works_once(ann, device):
    code = StaticToken.objects.filter(device__user=ann).first().token
    first, second = Client(), Client()
    give(first)
    typed = f" {code[:4].upper()}-{code[4:]} "
    assert first.post(reverse("admin:login_code"), {"code": typed}).status_code == 302
    assert is_in(first)
    give(second)
    assert second.post(reverse("admin:login_code"), {"code": code}).status_code == 200
    assert second_factor.status(ann).recovery_codes == second_factor.RECOVERY_CODES - 1


def test_one_too_many_at_a_moment_is_refused_and_not_counted(ann, settings):
    settings.SLUICE_WEB_THREADS = 2
    client = Client()
    with password_checks.in_turn("127.0.0.1"):
        for _ in range(2 * lockout.FAILURES_OF_NAME):
            page = give(client, "wrong")
    assert "Too many people sign in at this moment. Try again in a few seconds." in page.text
    assert not lockout.is_locked_out(username="ann", address="127.0.0.1")
    assert give(client).status_code == 302


def test_guessing_codes_is_locked_out_though_the_password_is_right(ann, device, clock):
    client = Client()
    for _ in range(lockout.FAILURES_OF_NAME):
        # Each time from the start: the right password must not forget the wrong codes.
        give(client)
        client.post(reverse("admin:login_code"), {"code": "000000"})
    assert lockout.is_locked_out(username="ann", address="127.0.0.1")
    clock.shift(120)
    assert LOCKED_OUT in client.post(reverse("admin:login_code"), {"code": code_of(device)}).content.decode()
    assert not is_in(client)


def test_the_code_page_takes_nobody_who_has_not_given_a_password(ann, device):
    client = Client()
    for response in (client.get(reverse("admin:login_code")), client.post(reverse("admin:login_code"), {"code": "1"})):
        assert (response.status_code, response.headers["Location"]) == (302, LOGIN)


def test_the_code_must_follow_soon_and_the_password_must_not_change_meanwhile(ann, device, clock):
    late, changed = Client(), Client()
    give(late)
    give(changed)
    clock.shift(599)
    assert late.get(reverse("admin:login_code")).status_code == 200
    clock.shift(2)
    assert late.get(reverse("admin:login_code")).status_code == 302
    give(changed)
    ann.set_password("another one entirely")
    ann.save()
    assert changed.post(reverse("admin:login_code"), {"code": code_of(device)}).status_code == 302
    assert not is_in(changed)


def test_a_session_from_before_is_asked_for_the_code_too(ann, clock):
    old = sign_in(ann)
    assert is_in(old)
    pending = second_factor.begin(ann)
    second_factor.confirm(user=ann, number=pending.pk, code=code_of(pending), actor=Actor.of_user(ann))
    assert not is_in(old)


def test_a_secret_that_was_shown_earlier_or_to_another_session_sets_nothing_up(ann, clock):
    url, (thief, owner) = reverse("admin:second_factor"), (sign_in(ann), sign_in(ann))
    thief.get(url)
    seen = TOTPDevice.objects.get(user=ann)
    owner.get(url)
    shown = TOTPDevice.objects.get(user=ann)
    assert shown.key != seen.key
    owner.post(url, {"code": code_of(seen), "current_password": PASSWORD})
    assert not second_factor.is_set_up(ann)
    # After a wrong code the same is shown again, to the session that began it.
    assert second_factor.secret(shown) in owner.post(url, {"code": "000000"}).content.decode()
    assert second_factor.secret(shown) not in thief.post(url, {"code": "000000"}).content.decode()
    refused = owner.post(url, {"code": code_of(shown), "current_password": PASSWORD})
    assert "start again" in refused.content.decode()
    assert not second_factor.is_set_up(ann)
    begun = TOTPDevice.objects.get(user=ann)
    assert second_factor.secret(begun) in refused.content.decode()
    owner.post(url, {"code": code_of(begun), "current_password": PASSWORD})
    assert TOTPDevice.objects.get(user=ann).confirmed


def test_one_sets_it_up_renews_the_codes_and_switches_it_off(ann, clock):
    client, url = sign_in(ann), reverse("admin:second_factor")
    shown = client.get(url).content.decode()
    device = TOTPDevice.objects.get(user=ann)
    assert not device.confirmed
    assert "<svg" in shown
    assert second_factor.secret(device) in shown
    assert WRONG_CODE in client.post(url, {"code": "000000", "current_password": PASSWORD}).content.decode()
    # A stolen session is not enough to lock its owner out.
    for wrong in ({}, {"current_password": "guessed"}):
        refused = client.post(url, {"code": code_of(device), **wrong})
        assert set(refused.context["form"].errors) == {"current_password"}
    assert not second_factor.is_set_up(ann)
    codes = codes_in(client.post(url, {"code": code_of(device), "current_password": PASSWORD}))
    assert len(codes) == second_factor.RECOVERY_CODES
    assert is_in(client), "this session goes on"

    clock.shift(60)
    renewed = codes_in(client.post(url, {"code": code_of(device), "do": "renew"}))
    assert len(set(renewed) - set(codes)) == second_factor.RECOVERY_CODES
    clock.shift(60)
    assert client.post(url, {"code": codes[0], "do": "remove"}).status_code == 200
    assert second_factor.is_set_up(ann)
    clock.shift(60)
    assert client.post(url, {"code": renewed[0], "do": "remove"}).status_code == 302
    assert not second_factor.is_set_up(ann)
    acts = AuditEntry.objects.order_by("pk").values_list("act", "actor_label", "target_label")
    assert list(acts)[-3:] == [
        ("user.second_factor_added", "ann", "ann"),
        ("user.recovery_codes_renewed", "ann", "ann"),
        ("user.second_factor_removed", "ann", "ann"),
    ]


def codes_in(response):
    return re.findall(r"<li>([a-z2-7]{8})</li>", response.content.decode())


def test_a_stolen_session_cannot_switch_it_off_by_trying_codes(ann, device):
    client = Client()
    give(client)
    client.post(reverse("admin:login_code"), {"code": code_of(device)})
    url = reverse("admin:second_factor")
    for _ in range(lockout.FAILURES_OF_NAME):
        client.post(url, {"code": "000000", "do": "remove"})
    assert LOCKED_OUT in client.post(url, {"code": "000000", "do": "remove"}).content.decode()
    assert second_factor.is_set_up(ann)


@pytest.mark.parametrize("code", ["", "\x00", "²²²²²²", "٠٠٠٠٠٠", "x" * 33, "'; --", "🙂" * 6])
def test_no_code_crashes(ann, device, code):
    client = Client()
    give(client)
    assert client.post(reverse("admin:login_code"), {"code": code}).status_code == 200
    assert not is_in(client)


def test_one_changes_ones_time_zone_and_nothing_of_ones_rights(acme, settings):
    settings.EMAIL_HOST, settings.SLUICE_PANEL_URL = "mail.example", "https://panel.example"
    client = sign_in(acme.analyst)
    url = reverse("admin:account")
    assert 'value="UTC" selected' in client.get(url).content.decode()
    form = {"first_name": "Ana", "last_name": "", "email": "ana@example.com", "time_zone": "Asia/Tokyo"}
    # Links to set a password go to the address: a stolen session must not be enough to change it.
    for wrong in ("", "wrong"):
        refused = client.post(url, {**form, "current_password": wrong})
        assert refused.context["form"].errors == {"current_password": ["Is not your password"]}
    form["current_password"] = PASSWORD
    assert client.post(url, {**form, "is_superuser": "on", "api_level": "yes"}).status_code == 302
    acme.analyst.refresh_from_db()
    assert (acme.analyst.time_zone, acme.analyst.first_name) == ("Asia/Tokyo", "Ana")
    # Its mailbox has to confirm it first.
    assert acme.analyst.email == ""
    assert (acme.analyst.is_superuser, acme.analyst.api_level) == (False, "no")
    assert client.post(url, {**form, "time_zone": "Mars/Phobos"}).status_code == 200


def test_one_changes_ones_password(ann):
    client, new = sign_in(ann), "a wholly different one"
    form = {"old_password": PASSWORD, "new_password1": new, "new_password2": new}
    url = reverse("admin:password_change")
    assert client.post(url, {**form, "old_password": "wrong"}).status_code == 200
    assert client.post(url, form).status_code == 302
    assert is_in(client), "this session goes on"
    assert give(Client(), new).status_code == 302
    assert AuditEntry.objects.filter(act="user.password_changed", target_id=str(ann.pk)).count() == 1


def test_wrong_old_passwords_lock_out_too(ann):
    client, url = sign_in(ann), reverse("admin:password_change")
    form = {
        "old_password": "wrong",
        "new_password1": "a wholly different one",
        "new_password2": "a wholly different one",
    }
    for _ in range(lockout.FAILURES_OF_NAME):
        assert "entered incorrectly" in client.post(url, form).content.decode()
    assert LOCKED_OUT in client.post(url, {**form, "old_password": PASSWORD}).content.decode()
    ann.refresh_from_db()
    assert ann.check_password(PASSWORD)


def test_a_right_password_by_http_basic_forgets_no_wrong_codes(ann, device):
    client = Client()
    give(client)
    for _ in range(lockout.FAILURES_OF_NAME - 1):
        client.post(reverse("admin:login_code"), {"code": "000000"})
    basic = "Basic " + base64.b64encode(f"ann:{PASSWORD}".encode()).decode()
    assert client.get("/ga/api/v3/eng/ip_addresses", headers={"Authorization": basic}).status_code == 401
    client.post(reverse("admin:login_code"), {"code": "000000"})
    assert lockout.is_locked_out(username="ann", address="127.0.0.1")


def test_only_who_is_signed_in_has_an_account(db):
    for name in ("account", "second_factor", "password_change"):
        assert LOGIN in Client().get(reverse(f"admin:{name}")).headers["Location"]
