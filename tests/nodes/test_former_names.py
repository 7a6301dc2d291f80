"""A former permalink stays reserved while a node's policy has it."""

import datetime

import pytest

from core.errors import Invalid
from nodes.former_names import keep_reserved
from nodes.publishing import publish
from nodes.tasks import keep_former_names
from servers import permalinks
from servers.models import FormerPermalink
from servers.provisioning import change_organization, create_organization
from tests.cast import ANN, NOW

pytestmark = [pytest.mark.storage, pytest.mark.django_db]
DAY = datetime.timedelta(days=1)


def reserved() -> dict[str, int]:
    """Return until how many days after NOW former permalinks are reserved."""
    rows = FormerPermalink.objects.values_list("permalink", "held_until")
    return {permalink: (until - NOW) // DAY for permalink, until in rows}


def test_it_works(site, acme, globex):
    publish(actor=ANN, now=NOW)
    change_organization(organization=acme.organization, permalink="acme-inc", actor=ANN, at=NOW)
    # No node has it.
    other = create_organization(name="Other", permalink="other", actor=ANN, at=NOW)
    change_organization(organization=other, permalink="other-inc", actor=ANN, at=NOW + DAY)
    assert reserved() == {"acme": 30, "other": 31}
    assert keep_reserved(at=NOW + 20 * DAY) == 1
    assert keep_reserved(at=NOW + 20 * DAY) == 0
    assert reserved() == {"acme": 50, "other": 31}
    with pytest.raises(Invalid, match="reserved until"):
        change_organization(organization=globex.organization, permalink="acme", actor=ANN, at=NOW + 49 * DAY)
    # What is published has the new name.
    publish(actor=ANN, now=NOW + 30 * DAY)
    assert keep_reserved(at=NOW + 40 * DAY) == 0
    assert reserved() == {"acme": 50, "other": 31}


def test_one_that_the_platform_released_stays_released(site, acme):
    publish(actor=ANN, now=NOW)
    change_organization(organization=acme.organization, permalink="acme-inc", actor=ANN, at=NOW)
    permalinks.release(former=FormerPermalink.objects.get(), at=NOW + DAY, actor=ANN)
    assert keep_reserved(at=NOW + DAY) == 0
    assert reserved() == {"acme": 1}


def test_the_task_runs_without_anything_to_do(site):
    keep_former_names()
    assert reserved() == {}
