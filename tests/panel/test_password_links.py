"""Links by e-mail to set a password: invitations, forgotten passwords, and what they may not tell or open."""

import functools
import re

import pytest
from django.core import mail
from django.test import Client
from django.urls import reverse
from django_otp.plugins.otp_totp.models import TOTPDevice

from core import lockout, password_links
from core.models import AuditEntry, User
from panel.sign_in.passwords import TOO_MANY
from tests.panel.conftest import PASSWORD, make_person, sign_in
from tests.panel.posting import YES, add, change, last
from tests.races import at_once, in_the_open

NEW = "a wholly different one"
ASK = "/admin/password-reset/"


@pytest.fixture
def mailing(settings):
    """An installation that can send links."""
    settings.EMAIL_HOST, settings.SLUICE_PANEL_URL = "mail.example", "https://panel.example/"


@pytest.fixture
def ann(db):
    return make_person("ann", email="Ann@example.com", is_superuser=True)


def ask(email, client=None):
    return (client or Client()).post(ASK, {"email": email})


def link_in(message):
    [link] = re.findall(r"https://panel\.example(/\S+)", message.body)
    return link


def follow(link, client):
    """Open the link; return the form's address and the page."""
    response = client.get(link, follow=True)
    return response.redirect_chain[-1][0] if response.redirect_chain else link, response


def set_password(link, client, password=NEW):
    url, _ = follow(link, client)
    return client.post(url, {"new_password1": password, "new_password2": password})


def enters(username, password):
    client = Client()
    client.post("/admin/login/", {"username": username, "password": password})
    return client.get("/admin/").status_code == 200


def test_it_works(mailing, ann):
    before = sign_in(ann)
    answer = ask("ann@EXAMPLE.com")
    assert "If an account has this e-mail address" in answer.content.decode()
    [message] = mail.outbox
    assert (message.subject, message.to) == ("Set your password for Sluice", ["Ann@example.com"])
    assert last()[0] == "user.password_link_sent"

    client = Client()
    done = set_password(link_in(message), client)
    assert (done.status_code, done.headers["Location"]) == (302, reverse("admin:login"))
    assert last()[0] == "user.password_set"
    assert client.get("/admin/").status_code == 302, "the link signs nobody in"
    assert before.get("/admin/").status_code == 302, "all sessions end"
    assert enters("ann", NEW)
    assert not enters("ann", PASSWORD)
    # It works once.
    _, again = follow(link_in(message), Client())
    assert "This link has been used" in again.content.decode()


@in_the_open
@pytest.mark.storage
def test_a_link_that_is_used_several_times_at_once_works_once():
    ann = make_person("ann", is_superuser=True)
    link = password_links.url_of(ann)
    clients = [Client() for _ in range(4)]
    # Each opens the link before any of them uses it.
    [url] = {follow(link, client)[0] for client in clients}
    given = [{"new_password1": f"{NEW} {number}", "new_password2": f"{NEW} {number}"} for number in range(4)]
    answers = at_once(*map(functools.partial, [each.post for each in clients], [url] * 4, given))
    assert sorted(each.status_code for each in answers) == [200, 200, 200, 302]
    assert AuditEntry.objects.filter(act="user.password_set").count() == 1
    assert all("This link has been used" in each.content.decode() for each in answers if each.status_code == 200)


def test_the_answer_does_not_tell_whether_there_is_such_an_account(mailing, ann):
    def words(response):
        return re.sub(r'value="[^"]*"|nonce-?[^" ]*', "", response.content.decode())

    known, unknown = ask("ann@example.com"), ask("nobody@example.com")
    assert (known.status_code, words(known)) == (unknown.status_code, words(unknown))
    assert len(mail.outbox) == 1


def test_only_accounts_that_sign_in_to_the_panel_get_links(mailing, ann):
    make_person("late", email="late@example.com", is_active=False)
    User.objects.filter(pk=make_person("program", email="program@example.com").pk).update(is_staff=False)
    for email in ("late@example.com", "program@example.com", "ann@example.co"):
        ask(email)
    assert mail.outbox == []
    link = password_links.url_of(User.objects.get(username="late")).removeprefix("https://panel.example")
    _, page = follow(link, Client())
    assert "This link has been used, is too old, or is incomplete." in page.content.decode()


def test_requests_are_limited(mailing, ann):
    for n in range(lockout.FAILURES_OF_NAME):
        assert TOO_MANY not in ask("ann@example.com").content.decode(), n
    assert TOO_MANY in ask("ann@example.com").content.decode()
    # Wherever they come from, a mailbox gets a few.
    assert len(mail.outbox) == lockout.LINKS_OF_NAME
    assert AuditEntry.objects.filter(act="user.password_link_sent").count() == lockout.LINKS_OF_NAME
    # That locks nobody out of signing in.
    assert enters("ann", PASSWORD)


def test_accounts_with_one_address_get_one_e_mail_with_their_links(mailing, ann):
    for number in range(4):
        make_person(f"ann-{number}", email="ann@example.com")
    for _ in range(lockout.LINKS_OF_NAME + 1):
        ask("ann@example.com")
    assert len(mail.outbox) == lockout.LINKS_OF_NAME
    links = re.findall(r"https://panel\.example(/\S+)", mail.outbox[-1].body)
    assert len(links) == 5
    assert set_password(links[-1], Client()).status_code == 302
    assert (enters("ann-3", NEW), enters("ann", PASSWORD)) == (True, True)


def test_without_a_mail_server_it_says_so(ann, settings):
    settings.EMAIL_HOST = ""
    for response in (Client().get(ASK), ask("ann@example.com")):
        assert "This installation sends no such e-mails" in response.content.decode()
    assert mail.outbox == []
    assert ASK in Client().get("/admin/login/").content.decode()


def test_the_second_factor_is_asked_for_after_the_link(mailing, ann):
    TOTPDevice.objects.create(user=ann, name="app", confirmed=True)
    ask("ann@example.com")
    set_password(link_in(mail.outbox[0]), Client())
    client = Client()
    answer = client.post("/admin/login/", {"username": "ann", "password": NEW})
    assert answer.headers["Location"] == reverse("admin:login_code")
    assert client.get("/admin/").status_code == 302


def test_a_weak_password_is_refused(mailing, ann):
    ask("ann@example.com")
    refused = set_password(link_in(mail.outbox[0]), Client(), "short")
    assert set(refused.context["form"].errors) == {"new_password2"}
    ann.refresh_from_db()
    assert ann.check_password(PASSWORD)


def test_a_changed_address_ends_its_links(mailing, ann):
    ask("ann@example.com")
    User.objects.filter(pk=ann.pk).update(email="other@example.com")
    _, page = follow(link_in(mail.outbox[0]), Client())
    assert "This link has been used" in page.content.decode()


def test_the_platform_adds_a_person(mailing, acme, platform, django_capture_on_commit_callbacks):
    given = {"organization": acme.organization.pk, "username": "new", "role": "analyst", "email": "new@example.com"}
    client = sign_in(platform.superuser)
    with django_capture_on_commit_callbacks(execute=True):
        response = add(client, "servers_membership", given)
    # Nothing is shown to hand over.
    assert response.status_code == 302
    page = client.get(response.headers["Location"]).content.decode()
    assert "An invitation is on its way to new@example.com." in page
    [message] = mail.outbox
    assert message.to == ["new@example.com"]
    invited = AuditEntry.objects.get(act="user.invited")
    user = User.objects.get(username="new")
    assert (invited.actor_id, invited.target_id, invited.organization_id) == (
        platform.superuser.pk,
        str(user.pk),
        acme.organization.pk,
    )
    set_password(link_in(message), Client())
    assert enters("new", NEW)


def test_without_a_mail_server_the_platform_gets_the_password(acme, platform, settings):
    settings.EMAIL_HOST = ""
    given = {"organization": acme.organization.pk, "username": "new", "role": "analyst", "email": "new@example.com"}
    response = add(sign_in(platform.superuser), "servers_membership", given)
    assert response.status_code == 200
    assert "Hand it over now" in response.content.decode()
    assert (mail.outbox, User.objects.get(username="new").email) == ([], "new@example.com")


def test_an_account_that_exists_is_not_written_to(mailing, acme, globex, platform, django_capture_on_commit_callbacks):
    given = {
        "organization": acme.organization.pk,
        "username": globex.owner.username,
        "role": "analyst",
        "email": "thief@example.com",
    }
    with django_capture_on_commit_callbacks(execute=True):
        assert add(sign_in(platform.superuser), "servers_membership", given).status_code == 302
    globex.owner.refresh_from_db()
    assert (mail.outbox, globex.owner.email) == ([], "")


def test_the_platform_sends_a_link(mailing, acme, platform, root, django_capture_on_commit_callbacks):
    User.objects.filter(pk=acme.analyst.pk).update(email="ana@example.com")
    with django_capture_on_commit_callbacks(execute=True):
        assert change(root, acme.analyst, YES, "send_link").status_code == 302
    assert [each.to for each in mail.outbox] == [["ana@example.com"]]
    assert last()[0] == "user.invited"
    # Not to an account with rights that the sender lacks.
    assert change(sign_in(platform.staff), platform.superuser, YES, "send_link").status_code == 403


def test_it_refuses_a_link_without_a_mail_server(acme, platform, root, settings):
    settings.EMAIL_HOST = ""
    User.objects.filter(pk=acme.analyst.pk).update(email="ana@example.com")
    response = change(root, acme.analyst, YES, "send_link")
    assert response.status_code == 200
    assert "This installation sends no such e-mails" in response.content.decode()
