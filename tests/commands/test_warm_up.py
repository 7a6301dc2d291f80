"""manage.py warm_up"""

import pytest
import time_machine

from core.audit import Actor
from ippools.models import WarmUp
from tests.cast import NOW, written_by
from tests.factories import IPAddressFactory

pytestmark = pytest.mark.django_db
COMMAND = "warm_up"


@pytest.fixture(autouse=True)
def at_noon():
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.mark.storage
def test_it_works(run):
    first, second = IPAddressFactory(ipv4="192.0.2.1"), IPAddressFactory(ipv4="192.0.2.2")
    assert run(COMMAND, "careful", "192.0.2.1", "--json").document == {"plan": "Careful", "begun": 1, "unchanged": 0}
    # An address keeps the warm-up that it has.
    assert run(COMMAND, "Fast", "192.0.2.1", "192.0.2.2", "--from", "2999-01-01").error != ""
    later = NOW.date().replace(year=NOW.year + 1).isoformat()
    document = run(COMMAND, "Fast", "192.0.2.1", "192.0.2.2", "--from", later, "--json").document
    assert document == {"plan": "Fast", "begun": 1, "unchanged": 1}
    assert [
        (each.address_id, each.plan.name, each.begins_on.isoformat()) for each in WarmUp.objects.order_by("pk")
    ] == [
        (first.pk, "Careful", NOW.date().isoformat()),
        (second.pk, "Fast", later),
    ]
    assert [act for act, *_ in written_by(Actor.of_command(COMMAND))] == ["warm_up.began"] * 2
    assert (
        "0 addresses begin the plan Fast; 2 have a warm-up already"
        in run(COMMAND, "Fast", "192.0.2.1", "192.0.2.2").stdout
    )


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("Slow", "192.0.2.1"), "There is no warm-up plan “Slow”."),
        (("Fast", "192.0.2.9"), "There is no IP address 192.0.2.9."),
        (("Fast", "192.0.2.1", "--from", "tomorrow"), "“tomorrow” is not a date (YYYY-MM-DD)."),
    ],
)
def test_it_refuses(run, arguments, error):
    IPAddressFactory(ipv4="192.0.2.1")
    assert run(COMMAND, *arguments).error == error
    assert not WarmUp.objects.exists()
