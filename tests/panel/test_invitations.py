"""Nobody gets into an organization without having agreed to it; and its owners learn of no account before that."""

import datetime
import functools
import re
from difflib import unified_diff

import pytest
from django.core import mail
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_otp.plugins.otp_totp.models import TOTPDevice

from core import lockout, password_links
from core.audit import Actor
from core.errors import NotAllowed
from core.models import AuditEntry, User
from servers import invitations, people
from servers.invitations import GONE
from servers.models import Invitation, Membership, Organization
from servers.tasks import send_invitation
from tests.panel.conftest import make_person, sign_in
from tests.panel.posting import add, change, errors
from tests.races import at_once, in_the_open

# Registered here, as in a worker: the panel sends it by its name.
assert send_invitation.name == "servers.tasks.send_invitation"
NEW = "a wholly different one"
ACCOUNT = "/admin/account/"


@pytest.fixture
def mailing(settings):
    """An installation that can send links."""
    settings.EMAIL_HOST, settings.SLUICE_PANEL_URL = "mail.example", "https://panel.example/"


@pytest.fixture
def invite(acme, globex, django_capture_on_commit_callbacks):
    # Those that every tenant of the cast has.
    Invitation.objects.all().delete()

    def post(by=acme.owner, organization=acme.organization, role="analyst", **whom):
        given = {"organization": organization.pk, "role": role, "username": "", "email": "", **whom}
        with django_capture_on_commit_callbacks(execute=True):
            return add(sign_in(by), "servers_invitation", given)

    return post


def masked(response, *names):
    text = re.sub(r'(csrfmiddlewaretoken" value="|nonce=")[^"]+', "", response.content.decode())
    for name in names:
        text = text.replace(name, "NAME")
    return response.status_code, re.sub(r"/\d+/", "/N/", text)


def link_in(text):
    [link] = set(re.findall(r"https?://[^/]+(/admin/invitations/[\w:=-]+/)", text))
    return link


def roles(user):
    return dict(Membership.objects.filter(user=user).values_list("organization__name", "role"))


# --- To a username ---------------------------------------------------------------------------------------------------


def test_it_works(acme, globex, invite):
    assert invite(username=globex.owner.username, role="operator").status_code == 302
    assert roles(globex.owner) == {"Globex": "owner"}
    client = sign_in(globex.owner)
    assert "Acme invites you" in client.get("/admin/").content.decode()
    page = client.get(ACCOUNT).content.decode()
    assert "invites you as: Operator" in page
    answer = {"invitation": Invitation.objects.get().pk, "do": "accept"}
    assert client.post(reverse("admin:answer_invitation"), answer).status_code == 302
    assert roles(globex.owner) == {"Globex": "owner", "Acme": "operator"}
    assert not Invitation.objects.exists()
    entries = AuditEntry.objects.order_by("-pk")[:2]
    assert [(each.act, each.actor_id, each.organization_id) for each in entries] == [
        ("membership.created", globex.owner.pk, acme.organization.pk),
        ("invitation.accepted", globex.owner.pk, acme.organization.pk),
    ]


@pytest.mark.parametrize("role", ["owner", "operator", "analyst"])
def test_an_owner_makes_nobody_a_member(role, acme, globex, platform):
    given = {"organization": acme.organization.pk, "username": globex.owner.username, "role": "analyst"}
    assert add(sign_in(getattr(acme, role)), "servers_membership", given).status_code == 403
    actor = Actor.of_user(getattr(acme, role))
    for username in (globex.owner.username, "nobody"):
        with pytest.raises(NotAllowed):
            people.add_person(organization=acme.organization, username=username, role="analyst", actor=actor)
    assert roles(globex.owner) == {"Globex": "owner"}


def test_until_then_it_gives_no_rights_and_demands_nothing(acme, globex, invite):
    Organization.objects.filter(pk=acme.organization.pk).update(requires_second_factor=True)
    client = sign_in(globex.owner)
    TOTPDevice.objects.create(user=acme.owner, name="app", confirmed=True)
    invitations.invite(
        organization=acme.organization,
        role="owner",
        username=globex.owner.username,
        at=timezone.now(),
        actor=Actor.of_user(acme.owner),
    )
    assert client.get("/admin/").status_code == 200
    assert client.get(reverse("admin:servers_server_change", args=[acme.server.pk])).status_code in (302, 404)
    assert acme.server.name not in client.get(reverse("admin:servers_server_changelist")).content.decode()
    assert "It requires a second factor of its people" in client.get(ACCOUNT).content.decode()


def test_the_owner_learns_of_no_account(acme, globex, invite, time_machine):
    """The same pages for accounts of others, the platform's, those that may not sign in, and for nobody."""
    User.objects.filter(pk=make_person("program").pk).update(is_staff=False)
    make_person("superior", is_superuser=True)
    time_machine.move_to(timezone.now(), tick=False)
    client, seen = sign_in(acme.owner), {}
    for name in (globex.owner.username, "superior", "program", "nobody-at-all"):
        assert invite(username=name).status_code == 302
        invitation = Invitation.objects.get(username=name)
        if name == globex.owner.username:
            # Whether they declined it is not told either.
            answer = {"invitation": invitation.pk, "do": "decline"}
            sign_in(globex.owner).post(reverse("admin:answer_invitation"), answer)
            invitation.refresh_from_db()
            assert invitation.declined_at is not None
        assert errors(invite(username=name)) == {"username": ["Is invited already"]}
        pages = [reverse(f"admin:servers_invitation_{each}", args=[invitation.pk]) for each in ("change", "history")]
        pages.append(reverse("admin:servers_invitation_changelist"))
        pages.append(reverse("admin:servers_organization_change", args=[acme.organization.pk]))
        pages.append(reverse("admin:servers_membership_changelist"))
        seen[name] = [masked(client.get(page), name) for page in pages]
        change(client, invitation, {"post": "yes"}, "delete")
        # Says that it was deleted.
        client.get("/admin/")
    first, *others = seen.values()
    pairs = [(page[1], other[1]) for each in others for page, other in zip(first, each, strict=True)]
    assert [line for pair in pairs for line in unified_diff(*map(str.splitlines, pair), n=0, lineterm="")] == []
    acts = AuditEntry.objects.filter(organization_id=acme.organization.pk, target_type="servers.invitation")
    assert {*acts.values_list("act", flat=True)} == {"invitation.created", "invitation.withdrawn"}


def test_a_declined_one_is_not_offered_again_while_it_lasts(acme, globex, invite, time_machine):
    time_machine.move_to(timezone.now(), tick=False)
    invite(username=globex.analyst.username)
    client = sign_in(globex.analyst)
    client.post(reverse("admin:answer_invitation"), {"invitation": Invitation.objects.get().pk, "do": "decline"})
    assert "invites you" not in client.get(ACCOUNT).content.decode()
    assert (
        client.post(
            reverse("admin:answer_invitation"), {"invitation": Invitation.objects.get().pk, "do": "accept"}
        ).status_code
        == 302
    )
    assert roles(globex.analyst) == {"Globex": "analyst"}
    assert errors(invite(username=globex.analyst.username)) == {"username": ["Is invited already"]}
    assert AuditEntry.objects.get(act="invitation.declined").organization_id is None
    time_machine.move_to(timezone.now() + invitations.VALID_FOR, tick=False)
    assert invite(username=globex.analyst.username).status_code == 302
    assert Invitation.objects.get().declined_at is None


def test_another_account_accepts_and_declines_nothing(acme, globex, invite):
    invite(username=globex.owner.username)
    invitation = Invitation.objects.get()
    for user in (globex.operator, make_person("globex-owner"), acme.operator):
        client = sign_in(user)
        for do in ("accept", "decline"):
            client.post(reverse("admin:answer_invitation"), {"invitation": invitation.pk, "do": do})
        assert "Acme" not in roles(user) or user == acme.operator
    invitation.refresh_from_db()
    assert invitation.declined_at is None


def test_accounts_of_the_platform_become_no_members(acme, platform, invite):
    program = make_person("program", api_level="read_only")
    invite(username="program")
    client = sign_in(program)
    invitation = Invitation.objects.get()
    client.post(reverse("admin:answer_invitation"), {"invitation": invitation.pk, "do": "accept"})
    assert not roles(program)
    assert not invitations.of(platform.superuser, at=timezone.now()).exists()


def test_who_is_no_owner_any_more_has_invited_nobody(acme, globex, invite, root):
    second = make_person("second", acme.organization, "owner")
    invite(by=second, username=globex.owner.username, role="owner")
    change(sign_in(acme.owner), acme.organization.memberships.get(user=second), {"role": "analyst"})
    client = sign_in(globex.owner)
    answer = {"invitation": Invitation.objects.get().pk, "do": "accept"}
    assert GONE in client.post(reverse("admin:answer_invitation"), answer, follow=True).content.decode()
    assert roles(globex.owner) == {"Globex": "owner"}


def test_only_owners_invite_and_into_their_own(acme, globex, invite):
    for user in (acme.operator, acme.analyst):
        assert invite(by=user, username="x").status_code == 403
    assert "organization" in errors(invite(by=globex.owner, username="x"))
    assert errors(invite()) == {"email": ["Is what an invitation goes to, or a username: give one of them"]}
    assert "email" in errors(invite(username="x", email="x@example.com"))
    assert not Invitation.objects.exists()


def test_it_is_withdrawn(acme, globex, invite):
    invite(username=globex.owner.username)
    invitation = Invitation.objects.get()
    assert change(sign_in(acme.operator), invitation, {"post": "yes"}, "delete").status_code == 403
    assert change(sign_in(acme.owner), invitation, {"post": "yes"}, "delete").status_code == 302
    assert "invites you" not in sign_in(globex.owner).get(ACCOUNT).content.decode()
    entry = AuditEntry.objects.latest("pk")
    assert entry.act == "invitation.withdrawn"
    assert "declined_at" not in entry.before


def test_the_accounts_mailbox_is_told_and_only_a_few_times(mailing, acme, globex, invite):
    User.objects.filter(pk=globex.owner.pk).update(email="gloria@example.com")
    invite(username=globex.owner.username)
    invite(username="nobody-at-all")
    [message] = mail.outbox
    assert (message.to, "https://panel.example/admin/account/" in message.body) == (["gloria@example.com"], True)
    for _ in range(lockout.LINKS_OF_NAME - 1):
        Invitation.objects.all().delete()
        invite(username=globex.owner.username)
    Invitation.objects.all().delete()
    assert password_links.TOO_MANY in invite(username=globex.owner.username).content.decode()
    # A name that nobody has counts alike.
    Invitation.objects.all().delete()
    for _ in range(lockout.LINKS_OF_NAME - 1):
        invite(username="nobody-at-all")
        Invitation.objects.all().delete()
    assert password_links.TOO_MANY in invite(username="nobody-at-all").content.decode()


def test_accounts_that_share_a_mailbox_do_not_multiply_what_it_is_told(mailing, acme, invite):
    for number in range(lockout.LINKS_OF_NAME + 2):
        make_person(f"twin-{number}", email=f"victim+{number}@example.com")
        invite(username=f"twin-{number}")
    assert (Invitation.objects.count(), len(mail.outbox)) == (lockout.LINKS_OF_NAME + 2, lockout.LINKS_OF_NAME)
    # They keep nobody from a link to set a password.
    password_links.send_forgotten("victim+0@example.com")
    assert len(mail.outbox) == lockout.LINKS_OF_NAME + 1


# --- To a mailbox ----------------------------------------------------------------------------------------------------


def test_a_mailbox_gets_a_link_to_make_an_account(mailing, acme, invite):
    assert invite(email="New@example.com", role="operator").status_code == 302
    [message] = mail.outbox
    assert (message.subject, message.to) == ("Invitation to acme", ["New@example.com"])
    link, client = link_in(message.body), Client()
    page = client.get(link).content.decode()
    assert "<b>Acme</b> invites you as: Operator" in page
    refused = client.post(link, {"do": "join", "password": "short", "again": "short"})
    assert set(refused.context["form"].errors) == {"password"}
    made = client.post(link, {"do": "join", "password": NEW, "again": NEW})
    assert "new@example.com" in made.content.decode()
    user = User.objects.get(username="new@example.com")
    assert (user.check_password(NEW), roles(user)) == (True, {"Acme": "operator"})
    assert client.get("/admin/").status_code == 302, "the link signs nobody in"
    # It works once.
    assert client.get(link).status_code == 404
    assert client.post(link, {"do": "join", "password": NEW, "again": NEW}).status_code == 404


def test_who_has_an_account_accepts_with_it(mailing, acme, globex, invite):
    User.objects.filter(pk=globex.owner.pk).update(email="gloria@example.com")
    invite(email="gloria@example.com")
    link, client = link_in(mail.outbox[0].body), sign_in(globex.owner)
    assert f"Accept as {globex.owner.username}" in client.get(link).content.decode()
    # An account with this address alone does not have it: whoever writes an address into their account owns no mailbox.
    assert "invites you" not in client.get(ACCOUNT).content.decode()
    assert client.post(link, {"do": "accept"}).status_code == 302
    assert roles(globex.owner) == {"Globex": "owner", "Acme": "analyst"}


def test_the_mail_has_no_text_of_the_organization(mailing, acme, invite):
    """It goes to whomever somebody wrote into a form, from the platform's address."""
    text = "Your parcel: https://evil.example/"
    Organization.objects.filter(pk=acme.organization.pk).update(name=text)
    invite(email="victim@example.com")
    [message] = mail.outbox
    assert "evil" not in message.subject + message.body
    assert text in Client().get(link_in(message.body)).content.decode()


def test_a_link_declines(mailing, acme, invite):
    invite(email="new@example.com")
    link = link_in(mail.outbox[0].body)
    assert "You have declined" in Client().post(link, {"do": "decline"}).content.decode()
    assert Client().get(link).status_code == 404
    assert errors(invite(email="NEW@example.com")) == {"email": ["Is invited already"]}


@pytest.mark.parametrize("taken", [False, True])
def test_without_a_mail_server_the_owner_hands_a_link_over_and_learns_no_names(taken, acme, invite, settings):
    settings.EMAIL_HOST = ""
    if taken:
        make_person("victim@example.com", email="victim@example.com")
    response = invite(email="victim@example.com")
    assert response.status_code == 200
    assert "no-store" in response.headers["Cache-Control"]
    made = Client().post(link_in(response.content.decode()), {"do": "join", "password": NEW, "again": NEW})
    assert made.context["made"] == "victim@acme"


def test_a_link_is_no_other_ones(mailing, acme, globex, invite):
    invite(email="a@example.com")
    link = link_in(mail.outbox[0].body)
    token = link.split("/")[-2]
    for wrong in (token[:-1], f"{token}x", "x", token.replace(":", "", 1)):
        assert Client().get(reverse("admin:invitation", args=[wrong])).status_code == 404
    Invitation.objects.update(email="b@example.com")
    assert Client().get(link).status_code == 404


def test_an_expired_link_says_so(mailing, acme, invite, time_machine):
    time_machine.move_to(timezone.now(), tick=False)
    invite(email="a@example.com")
    time_machine.move_to(timezone.now() + invitations.VALID_FOR + datetime.timedelta(seconds=1))
    page = Client().get(link_in(mail.outbox[0].body))
    assert (page.status_code, GONE in page.content.decode()) == (404, True)


@in_the_open
@pytest.mark.storage
def test_a_link_that_is_used_several_times_at_once_works_once():
    organization = Organization.objects.create(name="Acme", permalink="acme")
    invitation = invitations.invite(
        organization=organization, role="owner", email="a@example.com", at=timezone.now(), actor=Actor.system()
    )
    url = "/admin" + invitations.url_of(invitation, "").partition("/admin")[2]
    posts = [functools.partial(Client().post, url, {"do": "join", "password": NEW, "again": NEW}) for _ in range(4)]
    answers = at_once(*posts)
    assert Membership.objects.count() == 1
    assert User.objects.count() == 1
    assert sum("You belong to Acme now" in answer.content.decode() for answer in answers) == 1


def test_no_mailbox_is_flooded_and_no_organization_sends_many(mailing, acme, globex, invite):
    for _ in range(lockout.LINKS_OF_NAME):
        assert invite(email="Victim@example.com").status_code == 302
        Invitation.objects.all().delete()
    assert password_links.TOO_MANY in invite(email="victim@EXAMPLE.com").content.decode()
    # Nor by another spelling, nor by anybody else.
    assert password_links.TOO_MANY in invite(email="victim+1@example.com").content.decode()
    assert password_links.TOO_MANY in invite(email='"victim"@example.com').content.decode()
    other = invite(by=globex.owner, organization=globex.organization, email="victim@example.com")
    assert password_links.TOO_MANY in other.content.decode()
    assert (Invitation.objects.count(), len(mail.outbox)) == (0, lockout.LINKS_OF_NAME)
    for number in range(lockout.INVITATIONS_OF_ORGANIZATION):
        lockout.count_invitation(address=f"{number}@example.com", organization_id=acme.organization.pk)
    assert password_links.TOO_MANY in invite(email="b@example.com").content.decode()
    assert invite(by=globex.owner, organization=globex.organization, email="b@example.com").status_code == 302


def test_an_organization_has_so_many_people_the_invited_included(acme, invite, monkeypatch):
    monkeypatch.setattr(people, "MOST_PEOPLE", acme.organization.memberships.count() + 1)
    assert invite(username="last").status_code == 302
    assert "which is the most" in invite(username="beyond").content.decode()


# --- Leaving ---------------------------------------------------------------------------------------------------------


def test_a_person_leaves_also_what_demands_a_second_factor_of_them(acme, globex):
    Membership.objects.create(user=globex.owner, organization=acme.organization, role="analyst")
    Organization.objects.filter(pk=acme.organization.pk).update(requires_second_factor=True)
    client = sign_in(globex.owner)
    set_up = client.get("/admin/").headers["Location"]
    assert "Leave Acme" in client.get(set_up).content.decode()
    left = client.post(reverse("admin:leave_organization"), {"organization": acme.organization.pk})
    assert left.headers["Location"] == ACCOUNT
    assert client.get("/admin/").status_code == 200
    assert roles(globex.owner) == {"Globex": "owner"}
    # Not as the last owner, and not for others.
    for organization in (globex.organization, acme.organization):
        client.post(reverse("admin:leave_organization"), {"organization": organization.pk})
    assert roles(globex.owner) == {"Globex": "owner"}
    assert acme.organization.memberships.count() == 3
