"""A mailbox gets alerts only after its owner has agreed to them."""

import datetime
import re

import pytest
from django.core import mail, signing
from django.test import Client

from alerts import confirming, sending
from alerts.channels import change_channel, create_channel, delete_channel, send_test
from alerts.models import Channel, Message
from alerts.tasks import send_confirmation_link
from core import lockout, password_links
from core.audit import Actor
from core.errors import Conflict, NotAllowed, NotFound
from core.models import AuditEntry
from panel.security_policy import THEME
from tests.alerts.conftest import MINUTE, Minutes, item
from tests.alerts.factories import ChannelFactory, MessageFactory
from tests.cast import ANN
from tests.factories import A_MOMENT, OrganizationFactory

pytestmark = [pytest.mark.storage, pytest.mark.django_db]
ROOT = Actor.system()


# Registered here, as in a worker: it is sent by its name.
assert send_confirmation_link.name == "alerts.tasks.send_confirmation_link"


@pytest.fixture(autouse=True)
def links(settings, monkeypatch):
    settings.EMAIL_HOST, settings.SLUICE_PANEL_URL = "mail.example", "https://panel.example"
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    monkeypatch.setattr("django.db.transaction.on_commit", lambda do, **_: do())


def make(organization=None, target="ops@example.com", **more):
    given = {"kind": "email", "name": "Buy at https://evil.example", **more}
    return create_channel(organization=organization, target=target, actor=ANN, **given)


def link():
    [found] = re.findall(r"https://panel\.example(/alerts/confirm/\S+)", mail.outbox[-1].body)
    return found


def is_confirmed(channel):
    channel.refresh_from_db()
    return channel.confirmed_at is not None


def test_nothing_but_the_link_is_sent_until_its_owner_confirms():
    organization = OrganizationFactory(name="Visit https://evil.example")
    channel, minutes = make(organization), Minutes(organization)
    [letter] = mail.outbox
    assert (letter.to, letter.subject) == (
        ["ops@example.com"],
        f"Alerts of {organization.permalink}: confirm your address",
    )
    assert "evil" not in letter.subject + letter.body
    minutes.see(item(), times=3)
    with pytest.raises(Conflict, match="has not been confirmed"):
        send_test(channel=channel, at=A_MOMENT, actor=ANN)
    assert not Message.objects.exists()
    # Programs look at links before people do.
    page = Client().get(link())
    assert f"Do you want alerts of {organization.permalink} to be sent to ops@example.com?" in page.content.decode()
    assert (page.headers["Content-Security-Policy"], is_confirmed(channel)) == (THEME, False)
    for _ in range(2):
        assert f"Alerts of {organization.permalink} are sent to" in Client().post(link()).content.decode()
        assert is_confirmed(channel)
    entry = AuditEntry.objects.get(act="channel.confirmed")
    assert (entry.actor_label, entry.organization_id) == ("By a link", organization.pk)
    # It is told of what is open, and of what comes.
    minutes.see(item())
    assert sending.run(clock=lambda: minutes.at, seconds=5.0) == 1
    assert len(mail.outbox) == 2


def test_what_waits_for_a_mailbox_waits_until_another_has_confirmed():
    channel = ChannelFactory()
    MessageFactory(channel=channel)
    change_channel(channel=channel, target="other@example.com", actor=ANN)
    assert not is_confirmed(channel)
    assert sending.run(clock=lambda: A_MOMENT, seconds=5.0) == 0
    [letter] = mail.outbox
    assert letter.to == ["other@example.com"]
    Client().post(link())
    assert sending.run(clock=lambda: A_MOMENT + MINUTE, seconds=5.0) == 1
    # What is changed otherwise is not asked about.
    change_channel(channel=channel, name="Night", target="other@example.com", actor=ANN)
    assert is_confirmed(channel)
    assert len(mail.outbox) == 2


@pytest.mark.parametrize("kind", ["slack", "teams", "webhook"])
def test_a_url_is_not_asked(kind):
    channel = make(kind=kind, target="https://hooks.example.com/x")
    assert send_test(channel=channel, at=A_MOMENT, actor=ANN)
    assert mail.outbox == []
    with pytest.raises(Conflict, match="needs no confirmation"):
        confirming.request_again(channel=channel, actor=ANN)


def test_a_link_of_another_address_or_channel_or_age_confirms_nothing(monkeypatch):
    channel = make()
    old = link()
    change_channel(channel=channel, target="other@example.com", actor=ANN)
    bad = [old, old + "x", "/alerts/confirm/x", old.replace("alerts/confirm", "reports/stop")]
    for path in bad:
        answer = Client().post(path)
        assert (answer.status_code, "This link is not valid" in answer.content.decode()) == (404, True)
    fresh = link()
    with monkeypatch.context() as patch:
        later = confirming.VALID_FOR.total_seconds() + 60
        now = signing.time.time()
        patch.setattr(signing.time, "time", lambda: now + later)
        assert Client().post(fresh).status_code == 404
    assert not is_confirmed(channel)
    delete_channel(channel=channel, actor=ANN)
    assert Client().post(fresh).status_code == 404


def test_no_mailbox_is_flooded_with_links():
    organization = OrganizationFactory()
    channel = make(organization, target="Victim@example.com")
    for _ in range(lockout.LINKS_OF_NAME - 1):
        confirming.request_again(channel=channel, actor=ANN)
    for act in (
        lambda: confirming.request_again(channel=channel, actor=ANN),
        lambda: make(OrganizationFactory(), target="victim@EXAMPLE.com"),
        lambda: change_channel(channel=ChannelFactory(), target="victim@example.com", actor=ANN),
    ):
        with pytest.raises(Conflict, match=re.escape(password_links.TOO_MANY)):
            act()
    assert len(mail.outbox) == lockout.LINKS_OF_NAME
    assert Channel.objects.filter(shown_target__iexact="victim@example.com").count() == 1


def test_only_the_platform_confirms_without_the_mailbox(settings):
    settings.SLUICE_PANEL_URL = ""
    channel = make(OrganizationFactory())
    assert mail.outbox == []
    with pytest.raises(Conflict, match="EMAIL_HOST and SLUICE_PANEL_URL"):
        confirming.request_again(channel=channel, actor=ANN)
    with pytest.raises(NotAllowed):
        confirming.confirm(channel=channel, at=A_MOMENT, actor=ANN)
    confirming.confirm(channel=channel, at=A_MOMENT, actor=ROOT)
    confirming.confirm(channel=channel, at=A_MOMENT + datetime.timedelta(days=1), actor=ROOT)
    assert is_confirmed(channel)
    assert channel.confirmed_at == A_MOMENT
    assert AuditEntry.objects.filter(act="channel.confirmed").count() == 1
    gone = make()
    delete_channel(channel=gone, actor=ANN)
    with pytest.raises(NotFound):
        confirming.request_again(channel=gone, actor=ANN)
