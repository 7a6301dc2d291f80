"""An organization keeps an owner and the platform a superuser, whoever takes the role from whom at the same moment."""

import functools

import pytest
from django.utils import timezone

from core.models import User
from servers.models import Membership
from servers.provisioning import create_organization
from tests.factories import MembershipFactory
from tests.panel.conftest import SYSTEM, make_person, sign_in
from tests.panel.posting import change, errors
from tests.races import at_once, in_the_open

PEOPLE = 6


@in_the_open
@pytest.mark.storage
def test_owners_who_remove_each_other_at_once_wait_for_each_other():
    organization = create_organization(at=timezone.now(), name="Acme", actor=SYSTEM)
    owners = [
        MembershipFactory(organization=organization, user=make_person(f"owner-{number}"), role="owner")
        for number in range(PEOPLE)
    ]
    clients = [sign_in(owner.user) for owner in owners]
    # Each removes the next one.
    acts = [
        functools.partial(change, client, owners[number - 1], {"post": "yes"}, "delete")
        for number, client in enumerate(clients)
    ]
    answers = at_once(*acts)
    # Who was removed before no longer sees the organization, or nothing at all.
    assert {answer.status_code for answer in answers} <= {200, 302, 403, 404}
    assert Membership.objects.filter(role="owner").exists()


@in_the_open
@pytest.mark.storage
def test_superusers_who_demote_each_other_at_once_leave_one():
    people = [make_person(f"root-{number}", is_superuser=True) for number in range(PEOPLE)]
    given = {"username": "", "time_zone": "UTC", "api_level": "no", "is_active": "on", "is_staff": "on"}
    acts = [
        functools.partial(
            change, sign_in(person), people[number - 1], {**given, "username": f"root-{(number - 1) % PEOPLE}"}
        )
        for number, person in enumerate(people)
    ]
    answers = at_once(*acts)
    assert {answer.status_code for answer in answers} <= {200, 302, 403}
    assert User.objects.filter(is_superuser=True).exists()


@pytest.mark.parametrize("taken", ["is_superuser", "is_active", "is_staff"])
def test_the_last_superuser_who_can_sign_in_stays_one(taken, acme, platform):
    make_person("gone", is_superuser=True, is_active=False)
    root = platform.superuser
    given = {"username": "root", "time_zone": "UTC", "api_level": root.api_level}
    given |= dict.fromkeys({"is_superuser", "is_active", "is_staff"} - {taken}, "on")
    assert errors(change(sign_in(root), root, given)) == {
        "__all__": ["There would be no superuser: make another person one first"]
    }
    make_person("second", is_superuser=True)
    assert change(sign_in(root), root, given).status_code == 302
    root.refresh_from_db()
    assert getattr(root, taken) is False
