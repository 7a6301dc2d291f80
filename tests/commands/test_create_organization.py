"""manage.py create_organization"""

import pytest

from core.audit import Actor
from servers.models import Organization
from tests.cast import written_by

pytestmark = pytest.mark.django_db
COMMAND = "create_organization"


@pytest.mark.storage
def test_it_works(run):
    document = run(COMMAND, "ACME Inc", "--json").document
    organization = Organization.objects.get()
    assert document == {"uuid": str(organization.uuid), "name": "ACME Inc", "permalink": "acme-inc"}
    assert list(document) == ["uuid", "name", "permalink"]
    assert (organization.time_zone, organization.allow_keyless_create) == ("UTC", False)
    assert written_by(Actor.of_command(COMMAND)) == [("organization.created", "ACME Inc", organization.pk)]


def test_it_takes_every_option(run):
    options = ["--permalink", "acme", "--time-zone", "Europe/Vienna", "--allow-keyless-create"]
    options += ["--require-second-factor", "--json"]
    assert run(COMMAND, "Ä", *options).document["permalink"] == "acme"
    assert Organization.objects.values(
        "name", "permalink", "time_zone", "allow_keyless_create", "requires_second_factor"
    ).get() == {
        "name": "Ä",
        "requires_second_factor": True,
        "permalink": "acme",
        "time_zone": "Europe/Vienna",
        "allow_keyless_create": True,
    }


def test_it_tells_a_person(run, acme):
    ended = run(COMMAND, "Initech")
    organization = Organization.objects.get(permalink="initech")
    assert ended.stdout == f"The organization Initech (initech) has the UUID {organization.uuid}\n"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ([" "], "Name is required."),
        (["acme INC"], "Name has already been taken."),
        (["x" * 201], "Name is too long (maximum is 200 characters)."),
        (["\udcff"], "Name must not contain control characters."),  # a byte that is no UTF-8
        (["B", "--permalink", "acme"], "Permalink has already been taken."),
        (["B", "--permalink", "A b"], "Permalink must be of lower-case letters, digits and hyphens, at most 63."),
        (["B", "--time-zone", "Mars"], "Time_zone is not the name of a time zone."),
    ],
)
def test_it_rejects(run, acme, arguments, error):
    ended = run(COMMAND, *arguments, "--json")
    assert (ended.stdout, ended.error) == ("", error)
    assert Organization.objects.count() == 1
