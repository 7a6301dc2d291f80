"""Reputation of addresses at receivers: DNS identity, blocklists, and SPF of the domains that send by them."""

from collections.abc import Mapping, Sequence
from typing import Any

from alerts.topics.addresses import IDENTITY, WRONG, wrong_names
from dnschecks.checked import DNSStatus
from ippools.models import IPPool, Listing
from panel.viewer import Viewer
from servers import spf_coverage
from servers.access import servers_of

# So many addresses are named of each kind.
NAMED = 10


# The columns of members that `of_pool` reads.
COLUMNS = {f"{name}_status": f"identity__{name}_status" for name, _ in IDENTITY}


def of_pool(pool: IPPool, members: Sequence[Mapping[str, Any]], viewer: Viewer) -> dict[str, Any]:
    """Return the context of `panel/pool/identity.html` by the pool's members, each with COLUMNS. Two queries."""
    known = [{**row, **{name: row[column] for name, column in COLUMNS.items()}} for row in members]
    wrong = [
        {"pk": row["pk"], "ipv4": row["ipv4"], "wrong": ", ".join(wrong_names(row))}
        for row in known
        if any(row[name] in WRONG for name in COLUMNS)
    ]
    right = sum(all(row[name] == DNSStatus.OK for name in COLUMNS) for row in known)
    listings = Listing.objects.believed().filter(address__memberships__pool=pool, first_seen_at__isnull=False)
    listed = list(
        listings.select_related("address", "blocklist").order_by("address_id", "blocklist__name")[: NAMED + 1]
    )
    return {
        "identity_right": right,
        "identity_wrong": wrong[:NAMED],
        "identity_wrong_total": len(wrong),
        "identity_unknown": len(known) - right - len(wrong),
        "listed": listed[:NAMED],
        "has_more_listed": len(listed) > NAMED,
        "coverage": spf_coverage.of_pools([pool.pk], None if viewer.is_platform else servers_of(viewer.user)),
    }
