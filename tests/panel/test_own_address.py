"""A new e-mail address of one's own account: its mailbox confirms it."""

import re

import pytest
from django.core import mail, signing
from django.test import Client
from django.urls import reverse

from core import address_links, lockout, password_links, users
from core.audit import Actor
from core.models import AuditEntry, User
from core.tasks import send_address_link
from tests.panel.conftest import PASSWORD, sign_in

pytestmark = pytest.mark.django_db
# Registered here, as in a worker: it is sent by its name.
assert send_address_link.name == "core.tasks.send_address_link"


@pytest.fixture
def change(acme, settings, django_capture_on_commit_callbacks):
    settings.EMAIL_HOST, settings.SLUICE_PANEL_URL = "mail.example", "https://panel.example"
    User.objects.filter(pk=acme.analyst.pk).update(email="old@example.com")

    def post(email):
        form = {"first_name": "Visit https://evil.example", "last_name": "", "email": email, "time_zone": "Asia/Tokyo"}
        with django_capture_on_commit_callbacks(execute=True):
            return sign_in(acme.analyst).post(
                reverse("admin:account"), {**form, "current_password": PASSWORD}, follow=True
            )

    return post


def link():
    [found] = re.findall(r"https://panel\.example(/admin/account/confirm/\S+)", mail.outbox[-1].body)
    return found


def email_of(person):
    person.refresh_from_db()
    return person.email


def test_the_address_changes_when_its_mailbox_follows_the_link(acme, change):
    """Anybody's could be entered: weekly reports, with names that the person writes, were sent there."""
    page = change("New@example.com").content.decode()
    assert "A link was sent to New@example.com" in page
    assert (email_of(acme.analyst), acme.analyst.time_zone) == ("old@example.com", "Asia/Tokyo")
    [letter] = mail.outbox
    assert (letter.to, "evil" in letter.subject + letter.body) == (["New@example.com"], False)
    assert "Is New@example.com to be the address of the account" in Client().get(link()).content.decode()
    assert email_of(acme.analyst) == "old@example.com"
    for _ in range(2):
        assert "New@example.com is the address of your account now" in Client().post(link()).content.decode()
    assert email_of(acme.analyst) == "New@example.com"
    entries = AuditEntry.objects.filter(act="user.changed", target_id=str(acme.analyst.pk)).order_by("pk")
    assert [each.after["email"] for each in entries] == ["old@example.com", "New@example.com"]


def test_a_link_of_before_another_change_or_too_late_does_nothing(acme, change, monkeypatch):
    change("first@example.com")
    first = link()
    with monkeypatch.context() as patch:
        late = signing.time.time() + address_links.VALID_FOR.total_seconds() + 60
        patch.setattr(signing.time, "time", lambda: late)
        assert Client().post(first).status_code == 404
    change("second@example.com")
    Client().post(link())
    for path in (first, first.replace("WzE", "WzI"), "/admin/account/confirm/x/"):
        answer = Client().post(path)
        assert (answer.status_code, "This link is not valid any more" in answer.content.decode()) == (404, True)
    assert email_of(acme.analyst) == "second@example.com"
    # Taking it away asks nobody.
    change("")
    assert email_of(acme.analyst) == ""
    change("third@example.com")
    User.objects.filter(pk=acme.analyst.pk).update(is_active=False)
    assert Client().post(link()).status_code == 404


def test_no_mailbox_is_flooded(acme, change):
    for _ in range(lockout.LINKS_OF_NAME):
        change("victim@example.com")
    assert password_links.TOO_MANY in change("Victim@example.com").content.decode()
    assert len(mail.outbox) == lockout.LINKS_OF_NAME


def test_a_link_ends_with_the_password_that_it_was_asked_for_with(acme, change):
    """Whoever knew the password could give the account an address after it was changed, and then a password."""
    change("thief@example.com")
    users.set_password(user=acme.analyst, password="another long one", actor=Actor.of_user(acme.analyst))
    assert Client().post(link()).status_code == 404
    assert email_of(acme.analyst) == "old@example.com"


def test_a_link_does_not_work_again_after_the_address_was_taken_back(acme, change):
    change("thief@example.com")
    used = link()
    Client().post(used)
    change("old@example.com")
    Client().post(link())
    assert email_of(acme.analyst) == "old@example.com"
    assert Client().post(used).status_code == 404
    assert email_of(acme.analyst) == "old@example.com"


def test_other_changes_of_the_account_end_no_link(acme, change):
    change("new@example.com")
    users.change_user(user=acme.analyst, first_name="Ann", actor=Actor.of_user(acme.analyst))
    assert Client().post(link()).status_code == 200
    assert email_of(acme.analyst) == "new@example.com"


def test_one_account_writes_to_few_mailboxes(acme, change):
    pages = [change(f"stranger-{number}@example.com") for number in range(lockout.DAILY_OF_NAME + 2)]
    assert len(mail.outbox) == lockout.DAILY_OF_NAME
    assert password_links.TOO_MANY in pages[-1].content.decode()


def test_where_no_link_can_be_sent_the_platform_gives_addresses(acme, platform, settings):
    """Weekly reports were sent to whatever address a person had entered."""
    settings.EMAIL_HOST, settings.SLUICE_PANEL_URL = "mail.example", ""
    User.objects.filter(pk=acme.analyst.pk).update(email="old@example.com")
    form = {
        "first_name": "Ann",
        "last_name": "",
        "email": "x@example.com",
        "time_zone": "UTC",
        "current_password": PASSWORD,
    }
    client = sign_in(acme.analyst)
    page = client.get(reverse("admin:account")).content.decode()
    assert "Only the platform changes it: no link to confirm it can be sent." in page
    assert 'name="current_password"' not in page
    assert client.post(reverse("admin:account"), form).status_code == 302
    assert (email_of(acme.analyst), acme.analyst.first_name) == ("old@example.com", "Ann")
    # A superuser may give any address to anybody.
    assert sign_in(platform.superuser).post(reverse("admin:account"), form).status_code == 302
    assert email_of(platform.superuser) == "x@example.com"
