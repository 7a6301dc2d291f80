"""Adds many addresses to an existing pool: preview, then the addition."""

import datetime
from collections.abc import Iterable
from dataclasses import dataclass, field

from django.conf import settings
from django.db import transaction

from core.audit import Actor
from core.errors import NotFound
from ippools import ranges, warm_ups
from ippools.addresses import NewAddress, create_many, lock_addresses
from ippools.models import IPAddress, IPPool, IPPoolMember
from servers import pools
from servers.models import Organization
from throttling.models import ThrottlingTemplate

# SQLite takes some 30,000 parameters in a statement.
_PARAMETERS = 30_000


@dataclass(frozen=True, slots=True)
class Addition:
    """The effects of adding addresses to a pool: created, used, already present, and refused with the reason."""

    made: list[str] = field(default_factory=list)
    used: list[IPAddress] = field(default_factory=list)
    present: list[str] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    # The HELO names that those made get.
    hostnames: dict[str, str] = field(default_factory=dict)
    # The refused entries that are addresses of other pools.
    taken: list[IPAddress] = field(default_factory=list)

    @property
    def total(self) -> int:
        return len(self.made) + len(self.used)


def plan(*, pool: IPPool, text: str) -> Addition:
    """Return what `add_pasted` would do with this text now.

    An address that exists is used where the pool is the platform's, where it is in no pool, or where it is in one of the
    organization's own; as in the IP Pools API, one that is in others' pools only counts as taken.
    """
    pasted = ranges.read(text)
    organization = _owner(pool)
    existing = _existing(pasted.addresses, organization)
    present = set(pool.members.filter(ip_address__in=[row.pk for row, _ in existing.values()]).values_list(
        "ip_address_id", flat=True
    ))  # fmt: skip
    addition = Addition(refused=list(pasted.refused))
    for ipv4 in pasted.addresses:
        if ipv4 not in existing:
            addition.made.append(ipv4)
            addition.hostnames[ipv4] = _hostname(ipv4, organization)
            continue
        address, is_usable = existing[ipv4]
        if address.pk in present:
            addition.present.append(ipv4)
        elif is_usable:
            addition.used.append(address)
        else:
            addition.refused.append((ipv4, "has already been taken"))
            addition.taken.append(address)
    return addition


@transaction.atomic
def add_pasted(
    *,
    pool: IPPool,
    text: str,
    actor: Actor,
    template: ThrottlingTemplate | None = None,
    plan_id: int | None = None,
    at: datetime.datetime | None = None,
) -> Addition:
    """Create missing addresses, add all usable ones to the pool, and return what was done.

    With a plan they are warmed up from today (of `at`, which is needed then) on, but for those that already are, and those
    that send for another pool: a plan's first day would be a hundredth of what they send. Addresses that are made get the
    template; None: the default one.
    """
    lock_addresses()
    if not IPPool.objects.select_for_update().filter(pk=pool.pk).exists():
        raise NotFound("The pool could not be found")
    addition = plan(pool=pool, text=text)
    organization = _owner(pool)
    organization_id = None if organization is None else organization.pk
    rows = [NewAddress(ipv4=ipv4, hostname=addition.hostnames[ipv4], template=template) for ipv4 in addition.made]
    made = create_many(rows, actor=actor, organization_id=organization_id)
    added = [*made, *addition.used]
    sending = in_pools(addition.used)
    pools.add_members(pool=pool, addresses=added, actor=actor, organization_id=organization_id)
    if plan_id is not None and at is not None:
        today = at.astimezone(datetime.UTC).date()
        ids = [each.pk for each in added if each.pk not in sending]
        warm_ups.begin_many(address_ids=ids, plan_id=plan_id, on=today, at=at, actor=actor)
    return addition


def in_pools(addresses: Iterable[IPAddress]) -> set[int]:
    """Return the ids of those of the addresses that are in a pool already."""
    ids = [each.pk for each in addresses]
    return set(IPPoolMember.objects.filter(ip_address__in=ids).values_list("ip_address_id", flat=True))


def _owner(pool: IPPool) -> Organization | None:
    return None if pool.namespace is None else Organization.objects.filter(uuid=pool.namespace).first()


def _hostname(ipv4: str, organization: Organization | None) -> str:
    if organization is not None:
        return pools.hostname_for(ipv4, organization)
    return f"{ipv4.replace('.', '-')}.{settings.SLUICE_HOSTNAME_SUFFIX}"


def _existing(addresses: list[str], organization: Organization | None) -> dict[str, tuple[IPAddress, bool]]:
    if organization is not None:
        return pools.usable_by(addresses, organization)
    rows = IPAddress.objects.filter(ipv4__in=addresses[:_PARAMETERS])
    return {row.ipv4: (row, True) for row in rows}
