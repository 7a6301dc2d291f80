"""A former permalink stays reserved while a node's policy has it."""

import datetime

import pytest

from core.errors import Invalid
from core.models import User
from core.provided_roles import rules_of
from nodes.former_names import keep_reserved
from nodes.publishing import publish
from nodes.tasks import keep_former_names
from servers import permalinks
from servers.models import FormerPermalink, Membership
from servers.provided_roles import follow
from servers.provisioning import change_organization, create_organization
from tests.cast import ANN, NOW, SYSTEM

pytestmark = [pytest.mark.storage, pytest.mark.django_db]
DAY, HOUR = datetime.timedelta(days=1), datetime.timedelta(hours=1)


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
        change_organization(organization=globex.organization, permalink="acme", actor=SYSTEM, at=NOW + 49 * DAY)
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


def test_roles_of_single_sign_on_keep_one_reserved(site, acme, globex, settings):
    """Or the former holder's people would be let in to whoever takes the name."""
    settings.SLUICE_OIDC_ROLES = ["admins=superuser", "it=acme/operator"]
    change_organization(organization=acme.organization, permalink="acme-inc", actor=ANN, at=NOW)
    assert keep_reserved(at=NOW + 20 * DAY) == 1
    assert reserved() == {"acme": 50}
    with pytest.raises(Invalid, match="reserved until"):
        change_organization(organization=globex.organization, permalink="acme", actor=SYSTEM, at=NOW + 49 * DAY)
    settings.SLUICE_OIDC_ROLES = ["it=acme-inc/operator"]
    assert keep_reserved(at=NOW + 40 * DAY) == 0


def test_they_mean_whom_it_is_reserved_for(acme, globex, settings):
    rules = rules_of(["it=acme/operator", "bosses=acme-inc/owner", "others=globex/analyst"])
    person = User.objects.create(username="ina", is_staff=True)

    def roles(*groups, at):
        follow(user=person, rules=rules, groups=groups, at=at, actor=ANN)
        return dict(Membership.objects.filter(user=person).values_list("organization_id", "role"))

    own = acme.organization.pk
    assert roles("it", at=NOW) == {own: "operator"}
    change_organization(organization=acme.organization, permalink="acme-inc", actor=ANN, at=NOW)
    assert roles("it", at=NOW + DAY) == {own: "operator"}
    assert roles("it", "bosses", at=NOW + DAY) == {own: "owner"}
    # Whoever left the group has no role any longer, as before it was renamed.
    assert roles(at=NOW + DAY) == {}
    assert roles("it", at=NOW + 29 * DAY) == {own: "operator"}
    permalinks.release(former=FormerPermalink.objects.get(), at=NOW + 30 * DAY - HOUR, actor=ANN)
    change_organization(organization=globex.organization, permalink="acme", actor=ANN, at=NOW + 30 * DAY)
    assert roles("bosses", at=NOW + 31 * DAY) == {own: "owner"}
