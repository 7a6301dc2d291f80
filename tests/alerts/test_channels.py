"""Acts on alert channels."""

import pytest

from alerts.channels import MOST, change_channel, create_channel, delete_channel, send_test
from alerts.confirming import confirm
from alerts.models import Channel, Message
from core import lockout
from core.audit import Actor
from core.encryption import decrypt
from core.errors import Conflict, Invalid, NotFound, QuotaExceeded
from core.models import AuditEntry
from tests.alerts.conftest import MINUTE
from tests.alerts.factories import ChannelFactory
from tests.factories import A_MOMENT, OrganizationFactory

pytestmark = [pytest.mark.storage, pytest.mark.django_db]
ANN = Actor.system()
SECRET = "https://hooks.slack.com/services/T0/B0/secret"


def make(**more):
    given = {"organization": OrganizationFactory(), "kind": "email", "name": "Ops", "target": "ops@example.com"}
    channel = create_channel(actor=ANN, **(given | more))
    return confirm(channel=channel, at=A_MOMENT, actor=ANN)


def test_it_is_created_and_a_url_is_nowhere_in_clear():
    channel = make(kind="slack", target=f" {SECRET} ")
    assert decrypt(channel.sealed_target) == SECRET
    assert channel.shown_target.startswith("hooks.slack.com (")
    row = Channel.objects.filter(pk=channel.pk).values().get()
    entry = AuditEntry.objects.get(act="channel.created")
    assert "secret" not in f"{row} {entry.after}"
    assert (entry.organization_id, entry.after["shown_target"]) == (channel.organization_id, channel.shown_target)


def test_another_target_is_a_change_and_the_same_is_none():
    channel = make(kind="slack", target=SECRET)
    change_channel(channel=channel, target=SECRET, actor=ANN)
    assert not AuditEntry.objects.filter(act="channel.changed").exists()
    changed = change_channel(channel=channel, target=f"{SECRET}2", actor=ANN)
    changed.refresh_from_db()
    assert decrypt(changed.sealed_target) == f"{SECRET}2"
    assert AuditEntry.objects.filter(act="channel.changed").count() == 1


@pytest.mark.parametrize(
    ("bad", "path"),
    [
        ({"name": " "}, "name"),
        ({"kind": "pigeon"}, "kind"),
        ({"target": ""}, "target"),
        ({"target": "ops"}, "target"),
        ({"target": "ops@example.com\nBcc: all@example.com"}, "target"),
        ({"kind": "webhook", "target": "ftp://example.com/"}, "target"),
        ({"kind": "webhook", "target": "https://ann:secret@example.com/"}, "target"),
        ({"least": "worst"}, "least"),
        ({"conditions": ["weather"]}, "conditions"),
        ({"conditions": "domain_dns"}, "conditions"),
        ({"kind": "teams", "target": "ops@example.com"}, "target"),
        ({"kind": "pagerduty", "target": "https://events.pagerduty.com/"}, "target"),
        ({"kind": "pagerduty", "target": "a" * 31}, "target"),
        ({"kind": "pagerduty", "target": "a" * 32, "digest_at": 8}, "digest_at"),
        ({"time_zone": "Europe/Nowhere"}, "time_zone"),
        ({"digest_at": 24}, "digest_at"),
        ({"digest_at": "8"}, "digest_at"),
        ({"quiet_from": 22}, "quiet_until"),
        ({"quiet_from": 22, "quiet_until": 22}, "quiet_until"),
        ({"quiet_from": 22, "quiet_until": 6, "digest_at": 8}, "digest_at"),
    ],
)
def test_it_rejects(bad, path):
    with pytest.raises(Invalid) as refusal:
        make(**bad)
    assert [fault.path for fault in refusal.value.faults] == [path]
    assert not Channel.objects.exists()


def test_it_rejects_more_than_a_number_of_one_organization():
    organization = OrganizationFactory()
    ChannelFactory.create_batch(MOST, organization=organization)
    with pytest.raises(QuotaExceeded):
        make(organization=organization)
    make()
    make(organization=None)


def test_a_test_is_sent_once_a_minute():
    channel = make(name="Night shift")
    message = send_test(channel=channel, at=A_MOMENT, actor=ANN)
    assert (message.subject, message.body) == (
        "Test of an alert channel",
        f"This is a test of an alert channel of {channel.organization.permalink}.\n",
    )
    other = make(organization=channel.organization)
    for each in (channel, other):
        with pytest.raises(Conflict):
            send_test(channel=each, at=A_MOMENT + MINUTE / 2, actor=ANN)
    send_test(channel=make(), at=A_MOMENT + MINUTE / 2, actor=ANN)
    send_test(channel=channel, at=A_MOMENT + MINUTE, actor=ANN)
    assert Message.objects.count() == 3
    assert AuditEntry.objects.filter(act="channel.tested", organization_id=channel.organization_id).count() == 2
    with pytest.raises(Conflict):
        send_test(channel=ChannelFactory(enabled=False), at=A_MOMENT, actor=ANN)


def test_the_mail_of_a_test_has_no_text_of_the_organization():
    """Its people write names, and whom it goes to: a letter of theirs would come from the platform."""
    organization = OrganizationFactory(name="Your parcel: https://evil.example/")
    message = send_test(
        channel=make(name="Pay at https://evil.example/", organization=organization), at=A_MOMENT, actor=ANN
    )
    assert "evil" not in message.subject + message.body


def test_tests_fill_no_mailbox():
    """One a minute went to whomever somebody wrote into a form, and more where the channel was deleted and made again."""
    organization = OrganizationFactory()

    def sends(number, **columns):
        channel = make(organization=organization, **columns)
        try:
            return send_test(channel=channel, at=A_MOMENT + number * MINUTE, actor=ANN)
        except Conflict:
            return None
        finally:
            delete_channel(channel=channel, actor=ANN)

    most = lockout.DAILY_TESTS_OF_NAME
    assert [sends(n, target="Victim@example.com") is not None for n in range(most + 2)] == [True] * most + [False] * 2
    assert sends(most + 2, target="other@example.com")
    assert send_test(channel=make(target="victim@example.com"), at=A_MOMENT, actor=ANN)


def test_it_is_deleted_with_its_messages():
    channel = make()
    send_test(channel=channel, at=A_MOMENT, actor=ANN)
    delete_channel(channel=channel, actor=ANN)
    assert not Channel.objects.exists()
    assert not Message.objects.exists()
    for act in (delete_channel, change_channel):
        with pytest.raises(NotFound):
            act(channel=channel, actor=ANN)
