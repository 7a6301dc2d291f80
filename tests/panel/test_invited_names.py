"""Whom an invitation to a name is for when names change hands, and how many a mailbox gets."""

import pytest
from django.core import mail
from django.core.cache import caches
from django.urls import reverse
from django.utils import timezone

from core import lockout, users
from core.errors import NotFound
from core.models import User
from servers import invitations
from servers.models import Membership
from tests.panel.conftest import SYSTEM, make_person, sign_in


@pytest.fixture
def invite(acme):
    def made(username, role="analyst"):
        return invitations.invite(
            organization=acme.organization, username=username, role=role, at=timezone.now(), actor=SYSTEM
        )

    return made


@pytest.mark.storage
@pytest.mark.parametrize("how", ["renamed", "deleted"])
def test_who_gets_the_name_later_was_not_invited(how, globex, invite, settings):
    """Nor is told by an e-mail. Whoever had it, and has it again, was."""
    bob, other = make_person("bob", globex.organization, "analyst"), make_person("bert", globex.organization, "analyst")
    settings.EMAIL_HOST, settings.SLUICE_PANEL_URL = "mail.example", "https://panel.example/"
    invitation = invite("bob", "owner")
    if how == "renamed":
        users.change_user(user=bob, username="robert", actor=SYSTEM)
        users.change_user(user=other, username="bob", email="bert@example.com", actor=SYSTEM)
        other.refresh_from_db()
    else:
        Membership.objects.filter(user=bob).delete()
        bob.delete()
        other = make_person("bob", globex.organization, "analyst")
        User.objects.filter(pk=other.pk).update(email="bert@example.com")
    client = sign_in(other)
    assert "invites you" not in client.get("/admin/account/").content.decode()
    answer = {"invitation": invitation.pk, "do": "accept"}
    client.post(reverse("admin:answer_invitation"), answer)
    for act in (invitations.accept, invitations.decline):
        with pytest.raises(NotFound):
            act(invitation=invitation, user=other, at=timezone.now(), actor=SYSTEM)
    invitations.send(invitation)
    assert not mail.outbox
    assert [each.organization for each in Membership.objects.filter(user=other)] == [globex.organization]


@pytest.mark.storage
def test_an_account_that_was_changed_otherwise_is_still_invited(globex, invite):
    invitation = invite(globex.owner.username)
    users.change_user(user=globex.owner, first_name="Grace", actor=SYSTEM)
    assert invitations.of(globex.owner, at=timezone.now()).get() == invitation
    invitations.accept(invitation=invitation, user=globex.owner, at=timezone.now(), actor=SYSTEM)
    assert Membership.objects.filter(user=globex.owner, organization=invitation.organization).exists()


def test_withdrawing_and_inviting_again_sends_no_mailbox_a_mail_every_two_minutes():
    def counts(address):
        # As five minutes later.
        caches["lockout"].delete_many([lockout._key("invitation", address), lockout._key("invitations", "1")])
        return lockout.count_invitation(address=address, organization_id=1)

    assert [counts("v@example.com") for _ in range(8)] == [True] * lockout.DAILY_OF_NAME + [False] * 2
    # Another organization may invite.
    assert lockout.count_invitation(address="w@example.com", organization_id=2)
    sent = sum(counts(f"{number}@example.com") for number in range(lockout.DAILY_OF_ORGANIZATION))
    assert sent == lockout.DAILY_OF_ORGANIZATION - lockout.DAILY_OF_NAME
