"""Events for tests."""

import datetime
import random
from collections.abc import Sequence
from typing import Any

from ippools.models import IPAddress
from stats.counts.fold import fold_all
from tests.stats.conftest import NOW, Tenant
from tests.stats.recount import KINDS, REASONS, counted, recount

AT = "2026-03-11T15:30:00Z"
SENDERS = ["alice@acme.example", "Bob@Acme.Example", "carol@brand.example", "", None]
RECIPIENTS = ["x@gmail.com", "y@yahoo.co.uk", "z@icloud.com", "w@elsewhere.example", None]


def event(tenant: Tenant | None = None, **changes: Any) -> dict[str, Any]:
    """A whole event, in the server's own name where no tenant is given; None takes a field away."""
    whole = {
        "id": "1",
        "type": "sent",
        "at": AT,
        "server": str(tenant.server.uuid) if tenant else None,
        "ip": "192.0.2.1",
        "from": "alice@acme.example",
        "to": "bob@gmail.com",
    } | changes
    return {name: value for name, value in whole.items() if value is not None}


def random_events(
    tenants: Sequence[Tenant],
    number: int,
    *,
    seed: int,
    days_ago: Sequence[int] = (0, 1, 2),
    until: datetime.datetime = NOW,
    prefix: str = "",
) -> list[dict[str, Any]]:
    """Events of every kind on some days, the same ones for the same seed."""
    chance = random.Random(seed)
    events = []
    for index in range(number):
        tenant = chance.choice(tenants)
        at = until - datetime.timedelta(days=chance.choice(days_ago), seconds=round(chance.random() * 50_000, 3))
        events.append(
            event(
                tenant,
                id=f"{prefix}{seed}-{index}",
                type=chance.choice(KINDS),
                at=at.isoformat(),
                ip=chance.choice([*(address.ipv4 for address in tenant.addresses), None]),
                to=chance.choice(RECIPIENTS),
                reply=chance.choice([*REASONS, None]),
                seconds=chance.choice([None, 0.4, 3, 900]),
                **{"from": chance.choice(SENDERS)},
            )
        )
    return events


def assert_counts(events: Sequence[dict[str, Any]], *, now: datetime.datetime = NOW) -> None:
    """Fold, then hold every tier against a recount of these events."""
    fold_all(now=now)
    assert_counted(events, now=now)


def assert_counted(events: Sequence[dict[str, Any]], *, now: datetime.datetime = NOW) -> None:
    """Hold every tier against a recount of these events."""
    expected = recount(
        events,
        hours_from=(now - datetime.timedelta(days=90)).replace(minute=0, second=0, microsecond=0),
        minutes_from=(now - datetime.timedelta(hours=2)).replace(second=0, microsecond=0),
    )
    assert counted(dict(IPAddress.objects.values_list("pk", "ipv4"))) == expected
