"""A new customer in one page, with a card to hand over; usage of all customers; rotating a key with an overlap."""

import csv
import datetime
import io

import pytest
from django.urls import reverse

from core.models import AuditEntry
from servers import rotation
from servers.access import InvalidKey, authenticate_key
from servers.credentials import create_credential, hold_credential, reveal_key
from servers.models import Credential, Organization
from servers.pools import create_platform_pool
from stats.counts import buckets
from stats.counts.buckets import Grain
from stats.models import ServerCount
from tests.panel.conftest import NOW, SYSTEM, sign_in

NEW = reverse("admin:new_customer")
FORM = {"name": "Northwind", "server": "Transactional", "mode": "live", "pool": "least_used", "time_zone": "UTC"}
HOUR = datetime.timedelta(hours=1)


def test_a_new_customer_ends_in_a_card_that_works(platform, root):
    create_platform_pool(name="Standard", is_default=True, actor=SYSTEM)
    assert root.get(NEW).status_code == 200
    response = root.post(NEW, FORM)
    assert response.headers["Cache-Control"].startswith("no-store")
    lines = response.context["lines"]
    assert list(lines) == [
        "API URL", "API key", "SMTP host", "SMTP port", "SMTP user", "SMTP password", "Server UUID", "Try it",
    ]  # fmt: skip
    organization = Organization.objects.get(permalink="northwind")
    [server] = organization.servers.all()
    assert (lines["SMTP user"], lines["Server UUID"]) == ("northwind/transactional", str(server.uuid))
    assert authenticate_key(lines["API key"], at=NOW).server_id == server.pk
    smtp = server.credentials.get(kind="smtp")
    assert reveal_key(credential=smtp, actor=SYSTEM) == lines["SMTP password"]
    assert lines["Try it"] == f"curl -H 'X-Server-API-Key: {lines['API key']}' http://testserver/api/v1/servers/show"
    for value in lines.values():
        assert value in response.context["all_lines"]
    # Shown once: no other page has it.
    assert lines["API key"] not in root.get(NEW).content.decode()


def test_the_pool_is_the_chosen_one_and_is_granted(platform, root):
    root.post(NEW, {**FORM, "pool": platform.pool.pk})
    [server] = Organization.objects.get(permalink="northwind").servers.all()
    assert server.ip_pool == platform.pool
    response = root.post(NEW, {**FORM, "name": "Other", "pool": "none"})
    assert "It has no IP pool" in response.content.decode()


def test_another_tenants_pool_is_no_choice(acme, platform, root):
    response = root.post(NEW, {**FORM, "pool": acme.pool.pk})
    assert "pool" in response.context["form"].errors
    assert not Organization.objects.filter(permalink="northwind").exists()


def test_what_the_act_refuses_makes_nothing(acme, platform, root):
    before = AuditEntry.objects.count()
    for data in ({**FORM, "name": "Acme"}, {**FORM, "server": "\x00"}, {**FORM, "name": ""}):
        response = root.post(NEW, data)
        assert response.status_code == 200
        assert response.context["form"].errors
    assert AuditEntry.objects.count() == before


def test_only_who_makes_organizations_makes_customers(acme, platform):
    for user in (acme.owner, acme.analyst):
        assert sign_in(user).get(NEW).status_code == 403
        assert sign_in(user).post(NEW, FORM).status_code == 403
    assert sign_in(platform.staff).get(NEW).status_code == 200
    assert sign_in(None).get(NEW).status_code == 302


# --- Usage -----------------------------------------------------------------------------------------------------------

USAGE, FILE = reverse("admin:usage"), reverse("admin:usage_file")


@pytest.fixture
def counted(acme, globex):
    november = buckets.month_number(datetime.date(2026, 11, 1))
    for tenant, month, counts in (
        (acme, november, {"sent": 900, "bounced": 100, "complaint": 2}),
        (acme, november - 1, {"sent": 7}),
        (globex, november, {"sent": 50, "deferred": 450, "complaint": 9}),
    ):
        ServerCount.objects.create(grain=Grain.MONTH, bucket=month, server_id=tenant.server.pk, **counts)


def shown(client, **asked):
    rows = client.get(USAGE, {"month": "2026-11", **asked}).context["rows"]
    return [(row.organization, row.server, row.counts.sent, row.accepted) for row in rows]


def test_all_customers_are_sorted_by_any_kind(counted, platform, root):
    assert shown(root) == [("Acme", "", 900, 90.0), ("Globex", "", 50, 10.0)]
    assert [row[0] for row in shown(root, sort="complaint")] == ["Globex", "Acme"]
    assert shown(root, by="server", sort="deferred")[0] == ("Globex", "Globex server", 50, 10.0)
    assert shown(root, month="2026-10") == [("Acme", "", 7, 100.0)]
    assert root.get(USAGE, {"month": "2026-11"}).context["sum"].counts.sent == 950


def test_people_see_the_usage_of_their_organizations(counted, acme, platform):
    client = sign_in(acme.analyst)
    assert shown(client) == [("Acme", "", 900, 90.0)]
    assert b"lobex" not in client.get(FILE, {"month": "2026-11"}).content
    assert sign_in(None).get(USAGE).status_code == 302


def test_the_file_has_the_same_rows(counted, platform, root):
    response = root.get(FILE, {"month": "2026-11", "by": "server", "sort": "complaint"})
    head, *rows = list(csv.reader(io.StringIO(response.content.decode("utf-8-sig"))))
    assert head[:4] == ["month", "organization", "organization_permalink", "server"]
    assert [(row[0], row[1], row[5], row[-2], row[-1]) for row in rows] == [
        ("2026-11", "Globex", "50", "9", "10.0"),
        ("2026-11", "Acme", "900", "2", "90.0"),
    ]


@pytest.mark.parametrize("month", ["", "2026-13", "0000-01", "9999-12", "x" * 400, "\x00"])
def test_no_month_crashes(month, counted, platform, root):
    for url in (USAGE, FILE):
        assert root.get(url, {"month": month, "by": "x", "sort": "password"}).status_code == 200


# --- Rotating --------------------------------------------------------------------------------------------------------


def made(acme):
    return create_credential(
        server=acme.server, kind="api", name="App", can_manage_organization=True, actor=SYSTEM
    )  # fmt: skip


def test_the_old_key_stops_at_once(acme):
    old = made(acme)
    new = rotation.rotate(credential=old.credential, overlap=datetime.timedelta(), at=NOW, actor=SYSTEM)
    assert authenticate_key(new.key, at=NOW).server_id == acme.server.pk
    with pytest.raises(InvalidKey):
        authenticate_key(old.key, at=NOW)


def test_the_old_key_goes_on_for_some_hours(acme):
    old = made(acme)
    new = rotation.rotate(credential=old.credential, overlap=4 * HOUR, at=NOW, actor=SYSTEM)
    assert new.credential.pk == old.credential.pk
    for at in (NOW, NOW + 4 * HOUR - datetime.timedelta(seconds=1)):
        assert authenticate_key(old.key, at=at).server_id == acme.server.pk
        assert authenticate_key(new.key, at=at).server_id == acme.server.pk
    with pytest.raises(InvalidKey):
        authenticate_key(old.key, at=NOW + 4 * HOUR)
    retired = Credential.objects.get(name="App (old key)")
    assert (retired.can_manage_organization, retired.is_default, retired.key_prefix) == (True, False, old.key[:6])
    acts = AuditEntry.objects.filter(organization_id=acme.organization.pk).order_by("-pk")[:2]
    assert [entry.act for entry in acts] == ["credential.created", "credential.rotated"]


def test_a_held_key_stays_held_and_an_earlier_end_stays(acme):
    old = made(acme)
    hold_credential(credential=old.credential, at=NOW, actor=SYSTEM)
    Credential.objects.filter(pk=old.credential.pk).update(expires_at=NOW + HOUR)
    rotation.rotate(credential=old.credential, overlap=4 * HOUR, at=NOW, actor=SYSTEM)
    retired = Credential.objects.get(name="App (old key)")
    assert (retired.held_at, retired.expires_at) == (NOW, NOW + HOUR)


def test_the_dialog_shows_the_new_key_and_when_the_old_one_stops(acme, platform):
    client, url = sign_in(acme.owner), reverse("admin:servers_credential_rotate", args=[acme.credential.pk])
    assert "The old key stops" in client.get(url).content.decode()
    response = client.post(url, {"_form_submitted": "on", "overlap": "24"})
    assert list(response.context["secrets"]) == ["New key"]
    assert response.context["notice"].startswith("The old key stops in 24 hours.")
    smtp = acme.server.credentials.get(kind="smtp")
    shown = client.post(reverse("admin:servers_credential_reveal", args=[smtp.pk]), {"_form_submitted": "on"})
    assert shown.context["secrets"]["SMTP user"] == "acme/acme-server"
    unheard = client.post(url, {"_form_submitted": "on", "overlap": "99999"})
    assert unheard.context["form"].errors
