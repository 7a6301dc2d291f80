"""The demo's suppressions: of events, by the product's own rules; by hand; and of a program. Existing lists are not changed."""

import datetime

from core.audit import Actor
from servers.models import Server
from suppressions import acts, from_events
from suppressions.from_events import Evidence
from suppressions.models import Reason, SuppressionList

# By server: why, and the recipients.
SUPPRESSED: tuple[tuple[tuple[str, str], Reason, tuple[str, ...]], ...] = (
    (
        ("northwind", "Newsletter Europe"),
        Reason.HARD_BOUNCE,
        ("helene.martin@orange.fr", "j.keller@web.de", "mail@old-shop.example", "p.rossi@libero.it"),
    ),
    (("northwind", "Newsletter Europe"), Reason.COMPLAINT, ("no.more@yahoo.com", "anna.schulz@gmx.de")),
    (("northwind", "Orders"), Reason.HARD_BOUNCE, ("jane.smiht@gmail.com",)),
    (("brightmail", "Receipts"), Reason.COMPLAINT, ("accounts@tenants.example",)),
)
BY_HAND = ("legal@rival.example", "press@rival.example")


def make(servers: dict[tuple[str, str], Server], actor: Actor, *, now: datetime.datetime) -> None:
    """Suppress what is missing."""
    known = set(SuppressionList.objects.values_list("organization_id", flat=True))
    evidence = []
    for key, reason, recipients in SUPPRESSED:
        server = servers.get(key)
        if server is None or server.organization_id in known:
            continue
        for number, address in enumerate(recipients):
            at = now - datetime.timedelta(days=number, hours=3 * number + 1)
            evidence.append(Evidence(server.pk, address, reason, f"demo-{reason}-{number}", at))
    from_events.suppress_recipients(evidence, now=now)
    first = servers.get(("northwind", "Orders"))
    if first is not None and first.organization_id not in known:
        acts.suppress(
            organization=first.organization,
            server=None,
            addresses=BY_HAND,
            reason=Reason.MANUAL,
            at=now,
            actor=actor,
        )
