"""Sign-in by an OpenID provider, a real one on the loopback: whose account it is, and its roles."""

import subprocess
import sys
from pathlib import Path

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from core import identities, second_factor
from core.models import AuditEntry, Identity, User
from servers.models import Membership, Organization
from tests.panel.conftest import PASSWORD, SYSTEM, make_person, sign_in
from tests.panel.providers import INDEX, LOGIN, go, is_in, provider, running

__all__ = ["provider", "running"]

pytest.importorskip("authlib")
# The provider is a real server.
pytestmark = pytest.mark.server


def roles(user):
    return dict(Membership.objects.filter(user=user).values_list("organization__permalink", "role"))


def test_it_works(acme, provider):
    client = Client()
    page = client.get(LOGIN).content.decode()
    assert "Sign in by Acme Login" in page
    wanted = reverse("admin:servers_server_changelist")
    start = f"{reverse('admin:single_sign_on')}?next={wanted}"
    back = go(
        client, provider, start=start, groups=["it"], preferred_username="ina", email="ina@example.com",
        email_verified=True, given_name="Ina", family_name="Ix",
    )  # fmt: skip
    assert (back.status_code, back.headers["Location"]) == (302, wanted)
    assert client.get(wanted).status_code == 200
    user = User.objects.get(username="ina")
    assert (user.email, user.first_name, user.last_name) == ("ina@example.com", "Ina", "Ix")
    assert (user.is_staff, user.is_superuser, user.has_usable_password()) == (True, False, False)
    assert roles(user) == {"acme": "operator"}
    assert [(each.issuer, each.subject) for each in user.identities.all()] == [(provider.issuer, "person-1")]
    acts = AuditEntry.objects.filter(actor_kind="system").order_by("pk").values_list("act", flat=True)
    assert list(acts)[-3:] == ["user.created", "identity.linked", "membership.created"]
    # Not for two weeks, as with a password: the provider is asked again.
    assert 0 < client.session.get_expiry_age() <= 12 * 3600
    assert provider.refused == []


def test_the_same_person_comes_back_and_nothing_is_written_twice(acme, provider):
    go(Client(), provider, groups=["it"], preferred_username="ina")
    entries = AuditEntry.objects.count()
    client = Client()
    # By another name and address, which the provider may change.
    go(client, provider, groups=["it"], preferred_username="renamed", email="new@example.com", email_verified=True)
    assert is_in(client)
    assert User.objects.filter(identities__subject="person-1").get().username == "ina"
    assert AuditEntry.objects.count() == entries


def test_off_there_is_no_button_and_no_way_in(acme, settings):
    assert settings.SLUICE_OIDC_ISSUER == ""
    client = Client()
    assert "Sign in by" not in client.get(LOGIN).content.decode()
    for name in ("single_sign_on", "single_sign_on_callback"):
        assert client.get(reverse(f"admin:{name}"), {"code": "x", "state": "y"}).headers["Location"] == LOGIN
    assert sign_in(acme.owner).get(reverse("admin:linking")).headers["Location"] == reverse("admin:account")


def test_off_its_library_is_not_loaded(tmp_path):
    program = (
        "import os, django; os.environ['DJANGO_SETTINGS_MODULE'] = 'config.settings'; django.setup();"
        "import panel.apps, sys; panel.apps.load_pages(); import config.urls;"
        "print([name for name in ('authlib', 'joserfc') if name in sys.modules])"
    )
    root = Path(__file__).resolve().parents[2]
    environment = {"SLUICE_DATA_DIR": str(tmp_path), "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=root, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


# --- Whose account ---------------------------------------------------------------------------------------------------


def test_a_name_or_an_address_takes_no_account_over(acme, provider):
    ann = make_person("ann", is_superuser=True, email="ann@example.com")
    client = Client()
    go(client, provider, groups=["it"], preferred_username="ANN", email="ann@example.com", email_verified=True)
    made = User.objects.get(identities__subject="person-1")
    assert made != ann
    assert made.username == "ANN-2"
    assert (made.is_superuser, roles(made)) == (False, {"acme": "operator"})
    assert not ann.identities.exists()


def test_an_address_that_is_not_verified_is_not_kept(acme, provider):
    for verified in (False, "true", None):
        User.objects.filter(identities__subject="person-1").delete()
        go(Client(), provider, groups=["it"], email="ann@example.com", email_verified=verified)
        assert User.objects.get(identities__subject="person-1").email == ""


def test_one_links_ones_account_with_the_password(acme, provider):
    client, url = sign_in(acme.analyst), reverse("admin:linking")
    assert client.get(f"{reverse('admin:single_sign_on')}?link=1").headers["Location"] == reverse("admin:account")
    wrong = client.post(url, {"current_password": "guessed"})
    assert set(wrong.context["form"].errors) == {"current_password"}
    address = client.post(url, {"current_password": PASSWORD}).context["address"]
    assert "One more step" in client.post(url, {"current_password": PASSWORD}).content.decode()
    back = go(client, provider, start=address, sub="person-9", groups=[])
    assert back.headers["Location"] == reverse("admin:account")
    assert "linked" in client.get(reverse("admin:account")).content.decode()
    assert Identity.objects.get().user == acme.analyst
    # From then on it is the way in, with the roles that people of Sluice gave: the rules name acme, so they count.
    other = Client()
    go(other, provider, sub="person-9", groups=["it"])
    assert is_in(other)
    assert other.session["_auth_user_id"] == str(acme.analyst.pk)
    # And ends, with the password, too.
    assert client.post(url, {"current_password": PASSWORD}).status_code == 302
    assert not Identity.objects.exists()


def test_somebody_elses_account_at_the_provider_is_not_linked(acme, provider):
    identities.link(user=acme.owner, issuer=provider.issuer, subject="person-9", actor=SYSTEM)
    client = sign_in(acme.analyst)
    address = client.post(reverse("admin:linking"), {"current_password": PASSWORD}).context["address"]
    page = go(client, provider, start=address, sub="person-9", groups=[])
    assert "is linked to another already" in client.get(page.headers["Location"]).content.decode()
    assert Identity.objects.get().user == acme.owner


def test_accounts_that_are_closed_stay_closed(acme, provider):
    go(Client(), provider, groups=["it"])
    for change in ({"is_active": False}, {"is_active": True, "is_staff": False}):
        User.objects.filter(identities__subject="person-1").update(**change)
        client = Client()
        page = client.get(go(client, provider, groups=["admins"]).headers["Location"])
        assert "has no access" in page.content.decode()
        assert not is_in(client)
    assert not User.objects.get(identities__subject="person-1").is_superuser


# --- Roles -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("groups", [[], ["others"], None, 7, {"it": 1}, [["it"]]])
def test_whoever_has_no_role_gets_no_account(groups, acme, provider):
    client, before = Client(), User.objects.count()
    page = client.get(go(client, provider, groups=groups).headers["Location"])
    assert "has no access to this panel" in page.content.decode()
    assert not is_in(client)
    assert (User.objects.count(), Identity.objects.count()) == (before, 0)


def test_roles_follow_the_groups_at_each_sign_in(acme, globex, platform, provider):
    go(Client(), provider, groups=["it"])
    user = User.objects.get(identities__subject="person-1")
    Membership.objects.create(user=user, organization=globex.organization, role="analyst")
    for groups, expected in (
        (["it", "bosses"], {"acme": "owner", "globex": "analyst"}),
        (["bosses", "unknown"], {"acme": "owner", "globex": "analyst"}),
        # What the rules do not name stays as it was given.
        ([], {"globex": "analyst"}),
        (["it"], {"acme": "operator", "globex": "analyst"}),
    ):
        client = Client()
        go(client, provider, groups=groups)
        assert is_in(client)
        assert roles(user) == expected
    last = AuditEntry.objects.filter(act__startswith="membership.").latest("pk")
    assert (last.act, last.organization_id, last.after["role"]) == (
        "membership.created", acme.organization.pk, "operator",
    )  # fmt: skip


def test_the_last_role_is_taken_away_though_the_sign_in_is_refused(acme, provider):
    go(Client(), provider, groups=["it"])
    client = Client()
    go(client, provider, groups=[])
    assert not is_in(client)
    assert roles(User.objects.get(identities__subject="person-1")) == {}


def test_a_role_of_the_platform_is_the_only_one(acme, platform, provider):
    Group.objects.create(name="Operations")
    Group.objects.create(name="Other")
    go(Client(), provider, groups=["it"])
    user = User.objects.get(identities__subject="person-1")
    user.groups.add(Group.objects.get(name="Other"))
    go(Client(), provider, groups=["it", "admins", "ops"])
    user.refresh_from_db()
    assert (user.is_superuser, roles(user)) == (True, {})
    assert set(user.groups.values_list("name", flat=True)) == {"Operations", "Other"}
    go(Client(), provider, groups=["it"])
    user.refresh_from_db()
    assert (user.is_superuser, roles(user)) == (False, {"acme": "operator"})
    assert set(user.groups.values_list("name", flat=True)) == {"Other"}


def test_the_last_superuser_stays_one(acme, provider):
    ann = make_person("ann", is_superuser=True)
    identities.link(user=ann, issuer=provider.issuer, subject="person-1", actor=SYSTEM)
    go(Client(), provider, groups=[])
    ann.refresh_from_db()
    assert ann.is_superuser
    make_person("bea", is_superuser=True)
    go(Client(), provider, groups=["it"])
    ann.refresh_from_db()
    assert not ann.is_superuser


def test_groups_come_from_the_user_information_too_but_only_ones_own(acme, provider):
    provider.user_information = {"sub": "person-1", "groups": ["it"]}
    client = Client()
    go(client, provider)
    assert is_in(client)
    provider.user_information = {"sub": "person-2", "groups": ["admins"]}
    other = Client()
    go(other, provider)
    assert not is_in(other)


# --- The second factor -----------------------------------------------------------------------------------------------


def test_the_second_factor_is_the_providers(acme, provider):
    Organization.objects.filter(pk=acme.organization.pk).update(requires_second_factor=True)
    client = Client()
    go(client, provider, groups=["it"])
    assert is_in(client)
    account = client.get(reverse("admin:account")).content.decode()
    assert "that of Acme Login" in account
    assert reverse("admin:linking") not in account, "or there would be no way in"
    # A session by password of the same person needs Sluice's own.
    identities.link(user=acme.owner, issuer=provider.issuer, subject="person-3", actor=SYSTEM)
    second_factor.begin(acme.owner)
    by_password = Client()
    by_password.post(LOGIN, {"username": acme.owner.username, "password": PASSWORD})
    assert by_password.get(INDEX).headers["Location"] == reverse("admin:second_factor")


def test_another_persons_sign_in_by_password_does_not_inherit_it(acme, provider):
    Organization.objects.filter(pk=acme.organization.pk).update(requires_second_factor=True)
    client = Client()
    go(client, provider, groups=["it"])
    client.post(LOGIN, {"username": acme.owner.username, "password": PASSWORD})
    assert client.get(INDEX).headers["Location"] == reverse("admin:second_factor")


@pytest.mark.parametrize("spelling", ["ann", "ann\u3164", "\uff41nn"])
def test_a_name_that_looks_as_anothers_gets_a_number(spelling, acme, provider):
    make_person("ann")
    go(Client(), provider, groups=["it"], preferred_username=spelling)
    assert User.objects.get(identities__subject="person-1").username == "ann-2"


@pytest.mark.parametrize(
    "address", ["ann", f"{'a' * 64}@{'b' * 63}.{'c' * 63}.{'d' * 63}.example", "ann@example.com\n"]
)
def test_what_is_no_address_is_not_kept(address, acme, provider):
    client = Client()
    go(client, provider, groups=["it"], preferred_username="ina", email=address, email_verified=True)
    assert is_in(client)
    assert User.objects.get(username="ina").email in ("", "ann@example.com")
