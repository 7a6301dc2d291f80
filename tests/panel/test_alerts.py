"""The pages of alerts and of alert channels."""

import pytest
from django.urls import reverse

from alerts.models import Channel, Message
from core.encryption import decrypt
from core.models import AuditEntry, SetAside
from servers.models import Domain
from tests.alerts.factories import AlertFactory, ChannelFactory, MessageFactory
from tests.factories import A_MOMENT
from tests.panel.conftest import sign_in

pytestmark = pytest.mark.django_db
LIST = reverse("admin:alerts_alert_changelist")
ADD = reverse("admin:alerts_channel_add")


def texts(person, **asked):
    return [each.text for each in sign_in(person).get(LIST, asked).context["cl"].result_list]


def test_the_list_has_open_ones_first_and_filters(acme, globex, platform):
    AlertFactory(organization=acme.organization, text="over", ended_at=A_MOMENT)
    AlertFactory(organization=acme.organization, text="new", level="note", condition="address_paused")
    AlertFactory(organization=acme.organization, text="seen for a moment", began_at=None)
    mine = acme.alert.text
    assert texts(acme.analyst) == ["new", mine, "over"]
    assert texts(acme.analyst, state="open") == ["new", mine]
    assert texts(acme.analyst, state="ended") == ["over"]
    assert texts(acme.analyst, condition="address_paused") == ["new"]
    assert texts(acme.analyst, level__exact="bad") == [mine, "over"]
    assert set(texts(platform.superuser)) == {"new", mine, "over", globex.alert.text, platform.alert.text}


def test_its_page_says_who_was_told(acme):
    page = sign_in(acme.analyst).get(reverse("admin:alerts_alert_change", args=[acme.alert.pk])).content.decode()
    assert "Acme alerts" in page
    assert "Acknowledge" not in page


def test_it_is_acknowledged_for_the_organization_and_taken_back(acme, globex):
    url = reverse("admin:alerts_alert_acknowledge", args=[acme.alert.pk])
    for person in (acme.analyst, globex.owner):
        assert sign_in(person).post(url, {"_form_submitted": "on"}).status_code in (302, 403, 404)
    assert not SetAside.objects.exists()
    client = sign_in(acme.operator)
    assert client.post(url, {"_form_submitted": "on"}).status_code == 302
    aside = SetAside.objects.get()
    assert (aside.audience, aside.key, aside.is_hidden) == (
        f"organization:{acme.organization.pk}",
        acme.alert.key,
        False,
    )
    page = client.get(reverse("admin:alerts_alert_change", args=[acme.alert.pk])).content.decode()
    assert f"by {acme.operator.username}" in page
    assert "Remind again" in page
    client.post(reverse("admin:alerts_alert_take_back", args=[acme.alert.pk]), {"_form_submitted": "on"})
    assert not SetAside.objects.exists()
    page = client.get(reverse("admin:alerts_alert_change", args=[acme.alert.pk])).content.decode()
    assert "Remind again" not in page
    hours = {"_form_submitted": "on", "hours": "24"}
    client.post(reverse("admin:alerts_alert_snooze", args=[acme.alert.pk]), hours)
    assert SetAside.objects.get().is_hidden


def test_acknowledged_by_the_platform_it_is_on_the_dashboard(platform, acme):
    Domain.objects.filter(pk=acme.domain.pk).update(spf_status="missing")
    client = sign_in(platform.superuser)
    items = [each.item for each in client.get(reverse("admin:index")).context["attention"]]
    [item] = [each for each in items if each.condition == "domain_dns"]
    alert = AlertFactory(key=item.key, text=item.text)
    client.post(reverse("admin:alerts_alert_acknowledge", args=[alert.pk]), {"_form_submitted": "on"})
    assert item.key in [each.item.key for each in client.get(reverse("admin:index")).context["acknowledged"]]


def form(**more):
    return {
        "name": "Night shift",
        "kind": "email",
        "target": "night@example.com",
        "least": "warn",
        "enabled": "on",
        "time_zone": "UTC",
    } | more


def test_an_operator_adds_a_channel_and_sends_a_test(acme, root):
    client = sign_in(acme.operator)
    response = client.post(ADD, form(organization=acme.organization.pk, conditions=["domain_dns"]))
    channel = Channel.objects.get(name="Night shift")
    assert response.headers["Location"] == reverse("admin:alerts_channel_change", args=[channel.pk])
    assert (channel.organization, decrypt(channel.sealed_target), channel.conditions) == (
        acme.organization,
        "night@example.com",
        ["domain_dns"],
    )
    send_test, confirm = (reverse(f"admin:alerts_channel_{act}", args=[channel.pk]) for act in ("send_test", "confirm"))
    # Not before the mailbox, or the platform, has confirmed it.
    page = client.get(response.headers["Location"]).content.decode()
    assert "night@example.com has not been confirmed: no alerts and no tests are sent to it." in page
    assert "Send the link again" in page
    assert "not confirmed" in client.get(reverse("admin:alerts_channel_changelist")).content.decode()
    for path in (send_test, confirm):
        client.post(path, {"_form_submitted": "on"})
    assert not Message.objects.exists()
    assert "Confirm without a link" not in page
    assert 'value="night@example.com"' in root.get(confirm).content.decode()
    # What was shown is confirmed, not what the organization has put in its place meanwhile.
    for shown in ({}, {"address": "dawn@example.com"}):
        answer = root.post(confirm, {"_form_submitted": "on", **shown}).content.decode()
        assert "The channel has another address by now" in answer
        assert Channel.objects.get(pk=channel.pk).is_unconfirmed
    root.post(confirm, {"_form_submitted": "on", "address": "night@example.com"})
    client.post(send_test, {"_form_submitted": "on"})
    assert Message.objects.get().channel == channel
    assert "Test of an alert channel" in client.get(response.headers["Location"]).content.decode()
    entries = AuditEntry.objects.filter(target_type="alerts.channel", organization_id=acme.organization.pk)
    assert sorted(entries.values_list("act", flat=True)) == ["channel.confirmed", "channel.created", "channel.tested"]


@pytest.mark.parametrize("whose", ["nobody's", "another's"])
def test_a_member_adds_none_for_the_platform_or_another(whose, acme, globex):
    given = {} if whose == "nobody's" else {"organization": globex.organization.pk}
    response = sign_in(acme.owner).post(ADD, form(**given))
    assert response.status_code == 200
    assert "organization" in response.context["adminform"].form.errors
    assert not Channel.objects.filter(name="Night shift").exists()


def test_staff_add_one_of_the_platform(platform):
    assert sign_in(platform.superuser).post(ADD, form(conditions=["statistics"])).status_code == 302
    assert Channel.objects.get(name="Night shift").organization is None


def test_what_is_wrong_is_said_at_its_field(acme):
    given = form(organization=acme.organization.pk, kind="webhook", target="ftp://x")
    response = sign_in(acme.owner).post(ADD, given)
    assert "target" in response.context["adminform"].form.errors


def test_a_url_is_not_shown_again_and_kept_where_none_is_entered(acme):
    client = sign_in(acme.owner)
    url = "https://hooks.slack.com/services/T0/B0/topsecret"
    client.post(ADD, form(organization=acme.organization.pk, kind="slack", target=url))
    channel = Channel.objects.get(name="Night shift")
    path = reverse("admin:alerts_channel_change", args=[channel.pk])
    assert b"topsecret" not in client.get(path).content
    assert client.post(path, form(name="Renamed", target="")).status_code == 302
    channel.refresh_from_db()
    assert (channel.name, decrypt(channel.sealed_target)) == ("Renamed", url)
    assert b"E-mail address, URL or key" not in sign_in(acme.analyst).get(path).content


def test_a_messages_error_is_shown_as_text(acme):
    MessageFactory(channel=acme.channel, error="<b>no</b>", attempts=2)
    page = sign_in(acme.owner).get(reverse("admin:alerts_channel_change", args=[acme.channel.pk])).content.decode()
    assert "&lt;b&gt;no&lt;/b&gt;" in page
    assert "after 2 attempts" in page


def test_channels_are_listed_with_the_organization(acme, globex, platform):
    ChannelFactory(name="of all", conditions=["domain_dns"])
    page = sign_in(platform.superuser).get(reverse("admin:alerts_channel_changelist")).content.decode()
    for shown in ("The platform", "Acme alerts", "Globex alerts", "Domain fails its DNS checks"):
        assert shown in page
