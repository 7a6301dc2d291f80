"""People and their roles: who makes, changes and lets in whom."""

import pytest
from django.urls import reverse

from api.greenarrow.authentication import level_of
from core.models import User
from servers import people
from servers.models import Membership
from tests.panel.conftest import PASSWORD, make_person, sign_in
from tests.panel.posting import YES, add, change, errors, last


def test_people_are_made_and_changed_not_deleted(platform, root):
    data = {"username": "new", "time_zone": "UTC", "api_level": "no", "is_active": "on", "password": "long enough pass"}
    assert add(root, "core_user", data).status_code == 302
    user = User.objects.get(username="new")
    assert user.check_password("long enough pass")
    assert last()[0] == "user.created"
    assert set(errors(add(root, "core_user", {**data, "username": "root"}))) == {"username"}
    assert set(errors(add(root, "core_user", {**data, "username": "x", "password": "short"}))) == {"password"}
    changed = {"username": "new", "time_zone": "Asia/Tokyo", "api_level": "read_only"}
    assert change(root, user, changed).status_code == 302
    user.refresh_from_db()
    assert (user.is_active, user.time_zone, user.api_level) == (False, "Asia/Tokyo", "read_only")
    assert change(root, user, {"post": "yes"}, "delete").status_code == 403


def test_staff_cannot_raise_themselves_or_others(platform):
    client = sign_in(platform.staff)
    data = {"username": "staff", "time_zone": "UTC", "api_level": "no", "is_active": "on", "is_staff": "on"}
    change(client, platform.staff, {**data, "is_superuser": "on", "first_name": "S"})
    platform.staff.refresh_from_db()
    assert (platform.staff.first_name, platform.staff.is_superuser) == ("S", False)
    word = {**YES, "password": "another long one", "again": "another long one"}
    assert change(client, platform.superuser, word, "give_password").status_code == 403
    platform.superuser.refresh_from_db()
    assert platform.superuser.check_password(PASSWORD)


def test_a_password_is_set_twice_the_same(acme, platform, root):
    word = {**YES, "password": "another long one", "again": "different"}
    assert set(change(root, acme.owner, word, "give_password").context["form"].errors) == {"again"}
    assert change(root, acme.owner, {**word, "again": "another long one"}, "give_password").status_code == 302
    acme.owner.refresh_from_db()
    assert acme.owner.check_password("another long one")
    assert last()[0] == "user.password_set"


def test_the_own_password_and_address_are_changed_with_the_old_password_alone(platform, root):
    word = {**YES, "password": "another long one", "again": "another long one"}
    data = {"username": "staff", "time_zone": "UTC", "is_active": "on", "is_staff": "on", "email": "thief@example.com"}
    for client, user in ((sign_in(platform.staff), platform.staff), (root, platform.superuser)):
        assert change(client, user, word, "give_password").status_code == 403
        assert change(client, user, YES, "send_link").status_code == 403
        rights = {"api_level": user.api_level, **({"is_superuser": "on"} if user.is_superuser else {})}
        assert change(client, user, {**data, **rights, "username": user.username}).status_code == 302
        page = client.get(reverse("admin:core_user_change", args=[user.pk])).content.decode()
        assert "give_password" not in page
        user.refresh_from_db()
        assert (user.email, user.check_password(PASSWORD)) == ("", True)


def test_an_organization_has_so_many_people_and_no_more(acme, platform, monkeypatch):
    monkeypatch.setattr(people, "MOST_PEOPLE", acme.organization.memberships.count() + 1)
    client, given = sign_in(platform.superuser), {"organization": acme.organization.pk, "role": "analyst"}
    assert add(client, "servers_membership", {**given, "username": "last"}).status_code == 200
    assert "which is the most" in add(client, "servers_membership", {**given, "username": "beyond"}).content.decode()
    assert not User.objects.filter(username="beyond").exists()


def test_a_role_is_changed_by_owners(acme, globex, platform):
    membership = acme.organization.memberships.get(user=acme.analyst)
    assert change(sign_in(acme.operator), membership, {"role": "owner"}).status_code == 403
    assert change(sign_in(acme.owner), membership, {"role": "owner"}).status_code == 302
    membership.refresh_from_db()
    assert membership.role == "owner"
    foreign = {"organization": globex.organization.pk, "username": "spy", "role": "owner"}
    assert add(sign_in(acme.owner), "servers_membership", foreign).status_code == 403
    assert "organization" in errors(add(sign_in(acme.owner), "servers_invitation", foreign))
    assert not Membership.objects.filter(user__username="spy").exists()


@pytest.mark.parametrize("whose", ["program", "superuser", "staff"])
def test_membership_takes_no_access_from_the_platforms_accounts(whose, acme, platform):
    program = make_person("program", api_level="read_only")
    user = program if whose == "program" else getattr(platform, whose)
    given = {"organization": acme.organization.pk, "username": user.username, "role": "analyst"}
    assert errors(add(sign_in(platform.superuser), "servers_membership", given)) == {
        "username": ["Has an account of the platform, which belongs to no organization"]
    }
    assert not Membership.objects.filter(user=user).exists()
    # A member has no access to GreenArrow's API, whatever the account's level.
    assert level_of(program) == "read_only"


def test_a_persons_page_shows_memberships_and_second_factor(acme, platform, root):
    context = root.get(reverse("admin:core_user_change", args=[acme.owner.pk])).context
    assert [(each.organization.name, each.role) for each in context["memberships"]] == [("Acme", "owner")]
    assert context["factor"].device is None


def test_nobody_becomes_an_owner_because_that_stands_first(acme, platform):
    for user, page in ((platform.superuser, "servers_membership_add"), (acme.owner, "servers_invitation_add")):
        client, url = sign_in(user), reverse(f"admin:{page}")
        response = client.post(url, {"organization": acme.organization.pk, "username": "new", "role": ""})
        assert "role" in response.context["adminform"].form.errors
        assert "Choose a role" in client.get(url).content.decode()
