"""Blocklists of the operator's choice: created, changed, deleted; and the checks of their zones and of the addresses.

Each address is asked about once per interval and zone, through the zone's own resolver. What a zone says counts only while its
test entries are as they must be (dnschecks.dnsbl).
"""

import datetime
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, Unpack

from django.conf import settings
from django.db.models import F, OuterRef, Subquery
from django.db.models.expressions import Combinable

from core.acts import assign, locked, save_change
from core.atomic_acts import atomic_act
from core.audit import Actor, record, snapshot
from core.errors import Conflict, Faults
from dnschecks import dnsbl
from dnschecks.checked import DNSCheckedQuerySet, DNSStatus
from dnschecks.dnsbl import BadRanges, Zone
from dnschecks.findings import Finding, Findings
from dnschecks.name_servers import BadServer, server_of
from dnschecks.resolver import Resolver
from dnschecks.sweep import Swept, make_due, sweep
from ippools.models import Blocklist, IPAddress, IPPoolMember, Listing
from ippools.models.blocklist import LONGEST_INTERVAL, SHORTEST_INTERVAL
from ippools.public_addresses import BOUND_AND_PUBLIC, seen
from throttling.domains import NotADomain, domain_name

MOST_BLOCKLISTS = 50
# The nibbles of an IPv6 address stand before the zone, and the whole name has at most 253 characters.
LONGEST_ZONE = 180
# So often the test entries of a zone are asked for.
ZONE_INTERVAL = datetime.timedelta(minutes=30)
# A listing is looked at again when it is old enough to be confirmed.
LISTED_INTERVAL = datetime.timedelta(minutes=61)
# A zone is not asked about thousands of addresses in the same second.
JITTER = 0.1
ROWS_AT_ONCE = 5_000


class TooManyBlocklists(Conflict):
    """There are as many blocklists as there can be."""


class BlocklistFields(TypedDict, total=False):
    """The columns of a blocklist that acts take."""

    name: str
    ranges: str
    resolver: str
    lists_ipv4: bool
    lists_ipv6: bool
    interval: int
    is_enabled: bool


@atomic_act
def create(*, actor: Actor, **given: Unpack[BlocklistFields]) -> Blocklist:
    """Create a blocklist; `name` is needed. Raises Invalid, and TooManyBlocklists."""
    if Blocklist.objects.count() >= MOST_BLOCKLISTS:
        raise TooManyBlocklists(f"There can be {MOST_BLOCKLISTS} blocklists")
    blocklist = Blocklist(**_judged(Blocklist(), given))
    blocklist.save(force_insert=True)
    record(actor=actor, act="blocklist.created", target=blocklist, after=snapshot(blocklist))
    return blocklist


@atomic_act
def change(blocklist_id: int, *, actor: Actor, **given: Unpack[BlocklistFields]) -> Blocklist:
    """Change what is given; its test entries are checked again before it is asked. Raises NotFound, and Invalid."""
    blocklist = locked(Blocklist.objects.all(), blocklist_id)
    before = snapshot(blocklist)
    if assign(blocklist, _judged(blocklist, given)) - {"interval", "is_enabled"}:
        # What it said by other rules is not used any more.
        blocklist.zone_status, blocklist.zone_error = None, ""
        blocklist.dns_next_check_at = None
        Listing.objects.filter(blocklist=blocklist).delete()
    save_change(
        blocklist,
        before,
        act="blocklist.changed",
        actor=actor,
        unrecorded={"zone_status", "zone_error", "dns_next_check_at"},
    )
    return blocklist


@atomic_act
def delete(blocklist_id: int, *, actor: Actor) -> None:
    """Delete a blocklist with what it said. Raises NotFound."""
    blocklist = locked(Blocklist.objects.all(), blocklist_id, no_key=False)
    record(actor=actor, act="blocklist.deleted", target=blocklist, before=snapshot(blocklist))
    blocklist.delete()


def _judged(blocklist: Blocklist, given: BlocklistFields) -> dict[str, Any]:
    """Return what is given as it is stored; raises Invalid."""
    faults = Faults()
    values: dict[str, Any] = dict(given)
    if "name" in given or blocklist.pk is None:
        values["name"] = _zone_name(given.get("name", ""), blocklist.pk, faults)
    if "ranges" in given:
        try:
            values["ranges"] = dnsbl.written_ranges(dnsbl.read_ranges(given["ranges"]))
        except BadRanges as error:
            faults.add("ranges", str(error))
    if values.get("resolver"):
        values["resolver"] = values["resolver"].strip()
        try:
            server_of(values["resolver"])
        except BadServer as error:
            faults.add("resolver", str(error))
    if "interval" in given:
        faults.integer("interval", given["interval"], lowest=SHORTEST_INTERVAL, highest=LONGEST_INTERVAL)
    families = (given.get(name, getattr(blocklist, name)) for name in ("lists_ipv4", "lists_ipv6"))
    if not any(families):
        faults.add("lists_ipv4", "is required where IPv6 is not listed")
    faults.refuse()
    return values


def _zone_name(text: str, blocklist_id: int | None, faults: Faults) -> str:
    try:
        name = domain_name(text.strip())
    except NotADomain:
        faults.add("name", "must be the domain of a zone, such as zen.spamhaus.org")
        return ""
    if len(name) > LONGEST_ZONE:
        faults.add("name", f"must be at most {LONGEST_ZONE} characters in length")
    elif Blocklist.objects.filter(name=name).exclude(pk=blocklist_id or 0).exists():
        faults.add("name", "has already been taken")
    return name


# --- The checks ------------------------------------------------------------------------------------------------------


def _resolver(zone: Zone, given: Resolver) -> Resolver:
    return Resolver([zone.resolver], time_limit=given.remaining()) if zone.resolver else given


class ZoneChecks:
    """The checks of zones by their test entries, for the sweep."""

    def rows(self) -> DNSCheckedQuerySet[Blocklist]:
        return Blocklist.objects.filter(is_enabled=True)

    def owner(self) -> Combinable:
        return F("pk")

    def plans(self, ids: Sequence[int]) -> Mapping[int, Zone]:
        return {row.pk: row.zone() for row in Blocklist.objects.filter(pk__in=ids)}

    def examine(self, plan: Zone, resolver: Resolver) -> Findings:
        return {"zone": dnsbl.check_zone(plan, _resolver(plan, resolver))}

    def write(self, row: Blocklist, findings: Findings, at: datetime.datetime) -> dict[str, Any]:
        """A zone that does not answer cannot be believed either: its status is unknown again."""
        found = findings["zone"]
        return {
            **({"zone_status": None} if found.is_failure else {}),
            "dns_next_check_at": at + (ZONE_INTERVAL if found.status == DNSStatus.OK else ZONE_INTERVAL / 3),
        }


@dataclass(frozen=True, slots=True)
class _Question:
    zone: Zone
    addresses: tuple[str, ...]


class ListingChecks:
    """What zones say about addresses, for the sweep: the zones take turns."""

    def rows(self) -> DNSCheckedQuerySet[Listing]:
        return Listing.objects.believed().select_related("blocklist")

    def owner(self) -> Combinable:
        return F("blocklist_id")

    def plans(self, ids: Sequence[int]) -> Mapping[int, _Question]:
        rows = list(Listing.objects.filter(pk__in=ids).select_related("blocklist"))
        columns = IPAddress.objects.filter(listings__in=ids).values_list("pk", *BOUND_AND_PUBLIC)
        addresses = {pk: seen(*found) for pk, *found in columns}
        zones = {row.blocklist_id: row.blocklist.zone() for row in rows}
        return {row.pk: _Question(zones[row.blocklist_id], addresses[row.address_id]) for row in rows}

    def examine(self, plan: _Question, resolver: Resolver) -> Findings:
        return {"listing": dnsbl.check_addresses(plan.zone, plan.addresses, _resolver(plan.zone, resolver))}

    def write(self, row: Listing, findings: Findings, at: datetime.datetime) -> dict[str, Any]:
        """Store since when it is listed without a break. Where the zone could not be asked, that stays as it was."""
        found = findings["listing"]
        interval = datetime.timedelta(minutes=row.blocklist.interval)
        if found.status == DNSStatus.INVALID:
            interval = min(interval, LISTED_INTERVAL)
        spread = 1 + JITTER * random.random()  # noqa: S311 - spreads the load, guards nothing
        return {**_sighting(row, found, at), "dns_next_check_at": at + interval * spread}


def _sighting(row: Listing, found: Finding, at: datetime.datetime) -> dict[str, Any]:
    if found.is_failure:
        return {}
    if found.status != DNSStatus.INVALID:
        return {"listed": "", "first_seen_at": None, "last_seen_at": None}
    listed = found.facts["listed"]
    # Another address than before is another listing.
    is_same = row.first_seen_at is not None and bool(set(row.listed.split()) & set(listed.split()))
    return {"listed": listed, "first_seen_at": row.first_seen_at if is_same else at, "last_seen_at": at}


def check_due_zones(*, seconds: float, limit: int | None = None) -> Swept:
    """Check the test entries of due zones."""
    return sweep(ZoneChecks(), parallel=settings.SLUICE_DNS_PARALLEL, seconds=seconds, limit=limit)


def check_due_listings(*, seconds: float, limit: int | None = None) -> Swept:
    """Ask zones that can be believed about due addresses, new ones first."""
    make_missing_rows()
    recheck_changed()
    return sweep(ListingChecks(), parallel=settings.SLUICE_DNS_PARALLEL, seconds=seconds, limit=limit)


@atomic_act
def make_missing_rows() -> int:
    """Create missing rows of addresses that are in a pool, due at once. Safe with concurrent workers."""
    made = 0
    in_pools = IPPoolMember.objects.values("ip_address_id")
    for blocklist_id in Blocklist.objects.filter(is_enabled=True).values_list("pk", flat=True):
        asked = Listing.objects.filter(blocklist_id=blocklist_id).values("address_id")
        missing = IPAddress.objects.filter(pk__in=in_pools).exclude(pk__in=asked).order_by("pk")
        rows = [
            Listing(blocklist_id=blocklist_id, address_id=pk)
            for pk in missing.values_list("pk", flat=True)[:ROWS_AT_ONCE]
        ]
        made += len(Listing.objects.bulk_create(rows, ignore_conflicts=True, batch_size=1_000))
    return made


def recheck_changed() -> None:
    """Make due what was asked before its address changed."""
    changed = IPAddress.objects.filter(pk=OuterRef("address_id"), sender_changed_at__gt=OuterRef("dns_checked_at"))
    make_due(Listing.objects.annotate(changed=Subquery(changed.values("pk")[:1])).filter(changed__isnull=False))


# --- What they say ---------------------------------------------------------------------------------------------------


def of_address(address_id: int) -> list[Listing]:
    """Return what enabled blocklists say about an address, by zone. One query."""
    return list(
        Listing.objects.filter(address_id=address_id, blocklist__is_enabled=True)
        .select_related("blocklist")
        .order_by("blocklist__name")
    )
