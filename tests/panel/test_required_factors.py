"""A second factor that an organization requires: who lacks one gets to the page to set it up, and nowhere else."""

import re

import pytest
import time_machine
from django.test import Client
from django.urls import reverse
from django_otp.plugins.otp_totp.models import TOTPDevice

from core import second_factor
from core.audit import Actor
from core.models import AuditEntry
from servers.models import Membership, Organization
from servers.required_factors import Standing, people_without, standing_of
from tests.panel.conftest import NOW, PASSWORD, make_person, sign_in
from tests.panel.posting import change, last
from tests.panel.test_permissions import records_of
from tests.panel.test_sign_in import code_of
from tests.panel.urls import looks
from tests.watched import digest

SET_UP = "/admin/account/second-factor/"
# Open to everybody, signed in or not.
OPEN = {"login", "login_code", "admin_password_reset", "password_reset_confirm"}
OPEN |= {"single_sign_on", "single_sign_on_callback", "invitation", "confirm_address"}


@pytest.fixture
def strict(acme):
    """Acme requires a second factor."""
    Organization.objects.filter(pk=acme.organization.pk).update(requires_second_factor=True)
    acme.organization.refresh_from_db()
    return acme


def give_factor(user):
    pending = second_factor.begin(user)
    return second_factor.confirm(user=user, number=pending.pk, code=code_of(pending), actor=Actor.of_user(user))


def fields(organization, **changes):
    shown = {"name": organization.name, "permalink": organization.permalink, "time_zone": organization.time_zone}
    return {**shown, **changes}


def test_it_works(strict):
    with time_machine.travel(NOW, tick=False) as clock:
        client = Client()
        entered = client.post(reverse("admin:login"), {"username": strict.owner.username, "password": PASSWORD})
        assert client.get(entered.headers["Location"]).headers["Location"] == SET_UP
        page = client.get(SET_UP).content.decode()
        assert "Acme requires a second factor of its people" in page
        assert 'id="nav-sidebar"' not in page
        device = TOTPDevice.objects.get(user=strict.owner)
        done = client.post(SET_UP, {"code": code_of(device), "current_password": PASSWORD})
        assert len(re.findall(r"<li>([a-z2-7]{8})</li>", done.content.decode())) == second_factor.RECOVERY_CODES
        assert client.get("/admin/").status_code == 200
        # From then on, every session needs the code.
        clock.shift(60)
        other = Client()
        other.post(reverse("admin:login"), {"username": strict.owner.username, "password": PASSWORD})
        assert other.get("/admin/").headers["Location"].startswith("/admin/login/")
        other.post(reverse("admin:login_code"), {"code": code_of(device)})
        assert other.get("/admin/").status_code == 200


@pytest.mark.parametrize("role", ["owner", "operator", "analyst"])
def test_every_other_page_leads_there_and_nothing_is_changed(role, strict, globex, platform):
    """Every address of the panel, also by POST, and those of pages to come."""
    client = sign_in(getattr(strict, role))
    client.get(SET_UP)
    records = records_of(strict)
    before = digest()
    told = {}
    for name, path in looks(lambda label: records.get(label, strict.server)).items():
        if name in OPEN | {"second_factor", "logout"}:
            continue
        for send in (client.get, client.post):
            response = send(path)
            if (response.status_code, response.headers.get("Location")) != (302, SET_UP):
                told[name] = response.status_code
    assert told == {}
    assert digest() == before
    # The sign-in page leads there, too, and signing out works.
    assert client.get(reverse("admin:login"), follow=True).redirect_chain[-1] == (SET_UP, 302)
    assert client.post(reverse("admin:logout")).status_code == 200
    assert client.get("/admin/").headers["Location"].startswith("/admin/login/")


def test_a_page_that_does_not_exist_shows_no_menu(strict):
    page = sign_in(strict.owner).get("/admin/nowhere/")
    assert 'id="nav-sidebar"' not in page.content.decode()


def test_others_are_not_concerned(strict, globex, platform):
    for user in (globex.owner, platform.superuser):
        assert sign_in(user).get("/admin/").status_code == 200
    # Whoever belongs to two organizations, too.
    Membership.objects.create(user=globex.owner, organization=strict.organization, role="analyst")
    assert sign_in(globex.owner).get("/admin/").headers["Location"] == SET_UP


def test_a_superuser_who_is_a_member_is(strict):
    root = make_person("ruth", strict.organization, "owner", is_superuser=True)
    assert sign_in(root).get("/admin/").headers["Location"] == SET_UP


def test_whoever_switches_it_off_sets_it_up_again(strict):
    with time_machine.travel(NOW, tick=False) as clock:
        client = sign_in(strict.owner)
        client.get(SET_UP)
        device = TOTPDevice.objects.get(user=strict.owner)
        client.post(SET_UP, {"code": code_of(device), "current_password": PASSWORD})
        clock.shift(60)
        assert client.post(SET_UP, {"code": code_of(device), "do": "remove"}).status_code == 302
        assert client.get("/admin/").headers["Location"] == SET_UP


def test_the_page_needs_the_password(strict):
    client = sign_in(strict.owner)
    client.get(SET_UP)
    device = TOTPDevice.objects.get(user=strict.owner)
    refused = client.post(SET_UP, {"code": code_of(device), "current_password": "guessed"})
    assert set(refused.context["form"].errors) == {"current_password"}
    assert client.get("/admin/").headers["Location"] == SET_UP


# --- Who requires it -------------------------------------------------------------------------------------------------


def test_owners_and_the_platform_require_it_and_see_whom_it_concerns(acme, platform, root):
    data = fields(acme.organization, requires_second_factor="on")
    looked = change(sign_in(acme.owner), acme.organization, data)
    preview = looked.context["adminform"].form.preview
    assert preview.summary.startswith("3 members have no second factor.")
    assert [line[0] for line in preview.lines] == sorted(
        each.username for each in (acme.owner, acme.operator, acme.analyst)
    )
    acme.organization.refresh_from_db()
    assert not acme.organization.requires_second_factor
    confirmed = {**data, "_confirmed": looked.context["adminform"].form.confirmation}
    assert change(sign_in(acme.owner), acme.organization, confirmed).status_code == 302
    acme.organization.refresh_from_db()
    assert acme.organization.requires_second_factor
    assert last() == ("organization.changed", acme.owner.username, acme.organization.pk)
    entry = AuditEntry.objects.latest("pk")
    assert (entry.before["requires_second_factor"], entry.after["requires_second_factor"]) == (False, True)
    assert change(root, acme.organization, fields(acme.organization)).status_code == 302
    acme.organization.refresh_from_db()
    assert not acme.organization.requires_second_factor


def test_operators_and_analysts_do_not(acme):
    data = fields(acme.organization, name="Acme & Co", requires_second_factor="on")
    assert change(sign_in(acme.operator), acme.organization, data).status_code == 302
    assert change(sign_in(acme.analyst), acme.organization, data).status_code == 403
    acme.organization.refresh_from_db()
    assert (acme.organization.name, acme.organization.requires_second_factor) == ("Acme & Co", False)


def test_an_operator_does_not_by_restoring(acme, root):
    required = {"requires_second_factor": "on"}
    looked = change(root, acme.organization, fields(acme.organization, **required))
    mark = looked.context["adminform"].form.confirmation
    change(root, acme.organization, fields(acme.organization, **required, _confirmed=mark))
    entry = AuditEntry.objects.latest("pk")
    change(root, acme.organization, fields(acme.organization, name="Acme & Co"))
    client = sign_in(acme.operator)
    looked = change(client, acme.organization, {"entry": entry.pk}, "history")
    assert change(client, acme.organization, dict(looked.context["hidden"]), "history").status_code == 302
    acme.organization.refresh_from_db()
    assert (acme.organization.name, acme.organization.requires_second_factor) == ("Acme", False)


# --- One query -------------------------------------------------------------------------------------------------------


@pytest.mark.storage
def test_the_standing_takes_one_query(strict, globex, django_assert_num_queries):
    give_factor(strict.operator)
    with django_assert_num_queries(1):
        assert standing_of(strict.operator) == Standing(is_set_up=True, is_required=True)
    assert standing_of(strict.owner) == Standing(is_set_up=False, is_required=True)
    assert standing_of(globex.owner) == Standing(is_set_up=False, is_required=False)
    second_factor.begin(globex.owner)
    assert standing_of(globex.owner) == Standing(is_set_up=False, is_required=False), "one that is not confirmed"
    assert {each.user for each in people_without(strict.organization)} == {strict.owner, strict.analyst}
