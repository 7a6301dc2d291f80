"""Permalinks of organizations: who had one when, and how long a freed one is held back."""

import datetime

import pytest
from django.db import IntegrityError, transaction

from core import lockout
from core.errors import Conflict, Invalid
from servers import permalinks
from servers.models import FormerPermalink, Organization
from servers.organization_deletion import delete_organization
from servers.provisioning import change_organization, create_organization
from tests.cast import ANN, NOW, SYSTEM, last_entry
from tests.factories import FormerPermalinkFactory
from tests.races import at_once, in_the_open

pytestmark = [pytest.mark.storage, pytest.mark.django_db]

DAY = datetime.timedelta(days=1)
MOMENT = datetime.timedelta(microseconds=1)


def rename(organization, permalink, at=NOW, actor=ANN):
    return change_organization(organization=organization, permalink=permalink, actor=actor, at=at)


def make(name, at=NOW, permalink=""):
    return create_organization(name=name, permalink=permalink, actor=SYSTEM, at=at)


def former():
    rows = FormerPermalink.objects.order_by("pk")
    return list(rows.values_list("permalink", "organization__name", "since", "until", "held_until"))


def refusal(act, *args, **kwargs):
    with pytest.raises(Invalid) as refused:
        act(*args, **kwargs)
    return str(refused.value)


def test_renaming_writes_who_had_it_and_until_when(acme):
    assert acme.organization.permalink_since is None
    rename(acme.organization, "acme-inc")
    assert former() == [("acme", "ACME Inc", None, NOW, NOW + 30 * DAY)]
    assert Organization.objects.get(permalink="acme-inc").permalink_since == NOW


def test_another_change_writes_nothing(acme):
    change_organization(organization=acme.organization, name="Acme Limited", actor=ANN, at=NOW)
    assert former() == []


def test_a_freed_permalink_is_held_back_from_others(acme, globex):
    rename(acme.organization, "acme-inc")
    words = "permalink was another organization's and is reserved until 2026-12-18 10:30 UTC"
    late = NOW + 30 * DAY - MOMENT
    # Only the platform is told of the other organization.
    assert refusal(rename, globex.organization, "acme", late) == "permalink has already been taken"
    assert refusal(rename, globex.organization, "acme", late, SYSTEM) == words
    assert refusal(make, "New", late, permalink="acme") == words
    # One that is made from the name goes round it, as round one that is taken.
    assert make("Acme", late).permalink == "acme-2"
    assert rename(globex.organization, "acme", NOW + 30 * DAY).permalink == "acme"


def test_nobody_goes_through_the_names_of_other_customers(acme, globex):
    def tries(name, actor=ANN, at=NOW):
        return refusal(change_organization, organization=acme.organization, name=name, actor=actor, at=at)

    for _ in range(lockout.DAILY_GUESSES[lockout.Guess.NAME]):
        assert tries("Globex") == "name has already been taken"
    with pytest.raises(Conflict, match="Too many names were tried today"):
        tries("Globex")
    # Neither is a change of something else one, nor is the platform's.
    change_organization(organization=acme.organization, name="ACME Inc", time_zone="UTC", actor=ANN, at=NOW)
    assert tries("Globex", actor=SYSTEM) == tries("Globex", at=NOW + DAY) == "name has already been taken"


def test_the_days_are_a_setting(acme, globex, settings):
    settings.SLUICE_PERMALINK_HOLD = 0
    rename(acme.organization, "acme-inc")
    rename(globex.organization, "acme")
    assert former() == [("acme", "ACME Inc", None, NOW, NOW), ("globex", "Globex", None, NOW, NOW)]


def test_its_former_holder_takes_it_back(acme, globex):
    rename(acme.organization, "acme-inc")
    rename(acme.organization, "acme", NOW + DAY)
    assert former() == [
        ("acme", "ACME Inc", None, NOW, NOW + DAY),
        ("acme-inc", "ACME Inc", NOW, NOW + DAY, NOW + 31 * DAY),
    ]
    assert refusal(rename, globex.organization, "acme", NOW + 2 * DAY) == "permalink has already been taken"


def test_times_of_one_permalink_do_not_overlap_whatever_the_clock_says(acme):
    for permalink in ("a", "acme", "a", "acme"):
        rename(acme.organization, permalink)
    times = [(each[0], each[2], each[3]) for each in former()]
    assert times == [
        ("acme", None, NOW),
        ("a", NOW, NOW + MOMENT),
        ("acme", NOW + MOMENT, NOW + 2 * MOMENT),
        ("a", NOW + 2 * MOMENT, NOW + 3 * MOMENT),
    ]
    earlier = rename(acme.organization, "b", NOW - DAY)
    assert earlier.permalink_since == NOW + 4 * MOMENT


def test_a_new_organization_has_its_permalink_always_unless_another_had_it(acme):
    rename(acme.organization, "acme-inc")
    assert make("Fresh").permalink_since is None
    later = NOW + 40 * DAY
    assert make("Acme", later).permalink_since == later
    # Renamed, it has it from now on, even where nobody had it.
    assert rename(make("Other"), "never-had").permalink_since == NOW


def test_the_platform_releases_it(acme, globex):
    rename(acme.organization, "acme-inc")
    held = FormerPermalink.objects.get()
    permalinks.release(former=held, at=NOW + DAY, actor=ANN)
    entry = last_entry()
    assert (entry.act, entry.target_label, entry.organization_id) == (
        "former_permalink.released", "acme", acme.organization.pk,
    )  # fmt: skip
    assert (entry.before["held_until"], entry.after["held_until"]) == (
        (NOW + 30 * DAY).isoformat(),
        (NOW + DAY).isoformat(),
    )
    with pytest.raises(Conflict):
        permalinks.release(former=held, at=NOW + 2 * DAY, actor=ANN)
    assert rename(globex.organization, "acme", NOW + DAY).permalink_since == NOW + DAY


def test_nobody_goes_through_names_to_keep_them_from_others(acme):
    for number in range(permalinks.MOST_RENAMES):
        rename(acme.organization, f"name-{number}", NOW + number * DAY)
    words = "permalink was changed 10 times in 30 days; change it later"
    assert refusal(rename, acme.organization, "one-more", NOW + 29 * DAY) == words
    assert rename(acme.organization, "one-more", NOW + 31 * DAY).permalink == "one-more"


def test_what_a_deleted_organization_was_called_is_free_at_once():
    """It never had a server: nobody called it anything."""
    mistake = make("Mistake")
    rename(mistake, "slip")
    delete_organization(organization=mistake, actor=SYSTEM)
    assert (make("Mistake").permalink, make("Slip").permalink) == ("mistake", "slip")


def test_nothing_is_held_back_before_it_is_given_up(acme):
    with pytest.raises(IntegrityError), transaction.atomic():
        FormerPermalinkFactory(organization=acme.organization, until=NOW, held_until=NOW - MOMENT)


@in_the_open
def test_of_two_who_take_a_name_at_once_one_gets_it(acme, globex):
    rename(acme.organization, "acme-inc")
    later = NOW + 31 * DAY
    outcomes = at_once(
        lambda: rename(globex.organization, "acme", later),
        lambda: make("Initech", later, permalink="acme"),
        lambda: rename(acme.organization, "acme", later),
    )
    refused = [each for each in outcomes if isinstance(each, Exception)]
    assert [str(each) for each in refused] == ["permalink has already been taken"] * 2, outcomes
    assert Organization.objects.filter(permalink="acme").count() == 1


@in_the_open
def test_a_name_given_up_at_the_moment_another_asks_for_it_is_not_theirs(acme, globex):
    for number in range(4):
        at = NOW + number * DAY
        outcomes = at_once(
            lambda at=at, number=number: rename(acme.organization, f"acme-{number}", at),
            lambda at=at: rename(globex.organization, "acme", at),
        )
        assert isinstance(outcomes[1], Invalid), outcomes
        assert not isinstance(outcomes[0], Exception), outcomes
        rename(acme.organization, "acme", at + DAY / 2)
