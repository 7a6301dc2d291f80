"""The product in virtual time: events in, overlay out, on the real database. The clock is the caller's.

What happens between the two is the product's own: ingest, fold, the decisions and the overlay that nodes get.
"""

import datetime
import heapq
import itertools
import random
from collections.abc import Sequence
from typing import Any

from ippools.limits import limit_tables
from ippools.models import IPAddress
from nodes.policy.model import Overlay
from nodes.policy.read import read_overlay
from stats.counts.fold import fold_all
from stats.intake.ingest import Reporter, ingest
from tests.cast import Tenant
from tests.lab.receivers import Reply
from throttling.limits import effective

# A Monday.
BEGIN = datetime.datetime(2026, 6, 1, tzinfo=datetime.UTC)
SECOND = datetime.timedelta(seconds=1)
# From an attempt to its event in the panel, and so much more by chance; from the overlay to the MTA obeying it. Seconds.
REPORTED_AFTER = 6
REPORTED_WITHIN = 2
OBEYED_AFTER = 10


def moment(at: float) -> datetime.datetime:
    """Return seconds of the scenario as a time."""
    return BEGIN + at * SECOND


def clock(at: float) -> str:
    """Return seconds of the scenario as a day and a time."""
    return f"day {int(at // 86_400) + 1}, {moment(at):%H:%M:%S}"


class Panel:
    """A panel whose events arrive as an agent reports them, some seconds after the attempt."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self._waiting: list[tuple[float, int, dict[str, Any]]] = []
        self._ids = itertools.count()

    def note(self, tenant: Tenant, address: str, at: float, reply: Reply, domain: str) -> None:
        """Let an attempt be reported, and the complaint that follows from it."""
        words = [(reply.word, reply.text), *([("complaint", "")] if reply.complains else [])]
        for word, text in words:
            number = next(self._ids)
            event = {
                "id": str(number),
                "type": word,
                "at": moment(at).isoformat(),
                "server": str(tenant.server.uuid),
                "ip": address,
                "from": f"news@{tenant.organization.permalink}.example",
                "to": f"someone@{domain}",
            }
            if word in ("deferred", "bounced"):
                event["reply"] = text
            heapq.heappush(self._waiting, (at + REPORTED_AFTER + REPORTED_WITHIN * self._dice.random(), number, event))

    def receive(self, at: float, *, most: int | None = None) -> None:
        """Ingest what has arrived by now, at most so many events, the oldest first."""
        events: list[dict[str, Any]] = []
        while self._waiting and self._waiting[0][0] <= at and (most is None or len(events) < most):
            events.append(heapq.heappop(self._waiting)[2])
        if events:
            receipt = ingest(events, reporter=Reporter(), now=moment(at))
            assert receipt.accepted == len(events), receipt

    def waiting(self, at: float) -> int:
        """Return how many events that have arrived by now are not ingested."""
        return sum(arrived <= at for arrived, *_ in self._waiting)

    @staticmethod
    def fold(at: float) -> None:
        """Count what has been received."""
        fold_all(now=moment(at))


def overlay(addresses: Sequence[IPAddress], at: float) -> Overlay:
    """Return what nodes get for these addresses."""
    return read_overlay(virtual_mtas=[each.pk for each in addresses], servers={}, at=moment(at))


def limit(address: IPAddress, found: Overlay, domain: str, at: float) -> int:
    """Return the messages an hour that a node with this overlay lets leave for a domain; 0 is unlimited."""
    return effective(limit_tables(address), found.caps.get(address.pk, ()), domain, moment(at)).max_messages_per_hour
