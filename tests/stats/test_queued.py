"""What is queued: it falls with what is settled, and nothing that is told later, again or in another order changes it."""

import random
from typing import Any

import pytest

from servers.provisioning import create_server
from stats.counts.audit import audit, rebuild
from stats.counts.fold import fold_all
from stats.intake.ingest import Reporter, ingest
from stats.reports import queries
from tests.stats.conftest import ACTOR, NOW, Tenant
from tests.stats.events import event

pytestmark = [pytest.mark.storage, pytest.mark.django_db]

PLATFORM = Reporter()


def queued(tenant: Tenant) -> int:
    return queries.queued(queries.server_totals([tenant.server.pk])[tenant.server.pk])


def life(tenant: Tenant, number: int, *kinds: str) -> list[dict[str, Any]]:
    """The events of one message, an hour apart, one a day late."""
    at = ["2026-03-10T10:00:00Z", "2026-03-10T11:00:00Z", "2026-03-11T12:00:00Z"]
    return [event(tenant, id=f"m{number}", type=kind, at=when) for kind, when in zip(kinds, at, strict=False)]


def told(events: list[dict[str, Any]]) -> None:
    ingest(events, reporter=PLATFORM, now=NOW)
    fold_all(now=NOW)


def test_late_bounces_take_nothing_from_what_waits(acme: Tenant) -> None:
    told([each for number in range(5) for each in life(acme, number, "incoming", "sent", "late_bounce")])
    assert queued(acme) == 0
    told([each for number in range(10, 13) for each in life(acme, number, "incoming", "deferred")])
    assert queued(acme) == 3


def test_held_mail_of_a_development_server_is_settled(acme: Tenant) -> None:
    server = create_server(organization=acme.organization, name="Trial", mode="development", actor=ACTOR).server
    trial = Tenant(acme.organization, server, acme.pool, acme.addresses)
    told([each for number in range(4) for each in life(trial, number, "incoming", "held")])
    assert (queued(trial), queued(acme)) == (0, 0)
    told(life(trial, 9, "incoming"))
    assert (queued(trial), queued(acme)) == (1, 0)


@pytest.mark.parametrize("seed", range(4))
def test_no_order_and_no_repetition_changes_it(acme: Tenant, seed: int) -> None:
    lives = [
        ("incoming", "sent", "late_bounce"),
        ("incoming", "sent", "complaint"),
        ("incoming", "deferred", "sent"),
        ("incoming", "deferred", "bounced"),
        ("incoming", "held"),
        ("incoming", "deferred"),
        ("incoming", "spam"),
        ("incoming",),
    ]
    events = [each for number, kinds in enumerate(lives * 3) for each in life(acme, number, *kinds)]
    chance = random.Random(seed)
    heard = [*events, *chance.choices(events, k=30)]
    chance.shuffle(heard)
    while heard:
        told([heard.pop() for _ in range(min(len(heard), chance.randint(1, 20)))])
    # Of each three: put off, judged to be spam, and not tried yet.
    assert queued(acme) == 9
    assert audit(now=NOW).is_clean
    assert rebuild(now=NOW) == 0
    told(events)
    assert queued(acme) == 9
