"""The pools of organizations: own pools, and grants of the platform's."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from core.acts import locked, save_change
from core.atomic_acts import atomic_act
from core.audit import Actor, record, snapshot
from core.errors import Conflict, Dependency, Fault, InUse, Invalid, QuotaExceeded
from core.names import fold
from core.texts import clean_name
from ippools.addresses import NewAddress, create_many, lock_addresses
from ippools.models import IPAddress, IPPool, IPPoolMember
from ippools.ranges import MOST_ADDRESSES
from ippools.values import is_ipv4
from servers import quotas
from servers.locks import lock_organization
from servers.models import IPPoolRule, Organization, OrganizationPool, Server

# SQLite takes some 30,000 parameters in a statement.
_PARAMETERS = 30_000
# Own ones of an organization: the IP Pools API lists all of them, and an empty one counts against no quota of addresses.
MOST_POOLS = 1_000
# The number of blocking records that a refusal names.
NAMED = 20


@dataclass(frozen=True, slots=True)
class CreatedPool:
    """A new pool, its addresses in the order given, and a warning for each entry that could not be added."""

    pool: IPPool
    addresses: list[IPAddress]
    warnings: list[str]


def pools_of(organization: Organization) -> QuerySet[IPPool]:
    """Return the pools that the organization can use (own and granted), by id."""
    return IPPool.objects.filter(organization_pools__organization=organization).order_by("pk")


def addresses_of(organization: Organization) -> QuerySet[IPAddress]:
    """Return the addresses of the organization's pools, each once, by id."""
    members = IPPoolMember.objects.filter(pool__organization_pools__organization=organization)
    return IPAddress.objects.filter(pk__in=members.values("ip_address_id")).order_by("pk")


@atomic_act
def create_pool(*, organization: Organization, name: str, ips: Sequence[Any], actor: Actor) -> CreatedPool:
    """Create a pool of the organization and add addresses to it.

    An address that exists is used again where it is in no pool or in one of the organization's; one that is in others' pools
    only counts as taken. The pool is made even where no address could be added (IP Pools API, "Creating an IP Pool").
    """
    name = clean_name(name)
    if len(ips) > MOST_ADDRESSES:
        raise Invalid(Fault("ips", f"has too many entries (maximum is {MOST_ADDRESSES:,} in one request)"))
    lock_addresses()
    if IPPool.objects.filter(namespace=organization.uuid, name_key=fold(name)).exists():
        raise Invalid(Fault("name", "has already been taken"))
    if IPPool.objects.filter(namespace=organization.uuid).count() >= MOST_POOLS:
        raise QuotaExceeded(f"The organization may have at most {MOST_POOLS:,} IP pools of its own")
    wanted, warnings = _sort_out(ips, organization)
    pool = IPPool.objects.create(namespace=organization.uuid, name=name)
    record(actor=actor, act="ip_pool.created", target=pool, after=snapshot(pool), organization_id=organization.pk)
    # Without the lock: a key that asks for pools is a server's, and an organization with a server stays (decision 16).
    _grant(organization, pool, actor)
    addresses = _made(wanted, organization, actor)
    add_members(pool=pool, addresses=addresses, actor=actor, organization_id=organization.pk)
    return CreatedPool(pool, addresses, warnings)


@transaction.atomic
def grant_pool(*, organization: Organization, pool: IPPool, actor: Actor) -> OrganizationPool:
    """Grant the pool to the organization; granting it again changes nothing. Raises NotFound."""
    lock_organization(organization.pk)
    return _grant(organization, pool, actor)


def _grant(organization: Organization, pool: IPPool, actor: Actor) -> OrganizationPool:
    grant, created = OrganizationPool.objects.get_or_create(organization=organization, pool=pool)
    if created:
        record(
            actor=actor,
            act="organization_pool.granted",
            target=grant,
            after=snapshot(grant),
            organization_id=organization.pk,
        )
    return grant


@transaction.atomic
def withdraw_pool(*, organization: Organization, pool: IPPool, actor: Actor) -> None:
    """Withdraw the pool from the organization; Conflict while a living server or a rule of it uses the pool."""
    # Servers take pools under this lock too, so none can choose the pool while it is withdrawn.
    lock_organization(organization.pk)
    servers = Server.objects.living().filter(organization=organization)
    if servers.filter(ip_pool=pool).exists():
        raise Conflict("Servers of the organization send by this pool")
    if IPPoolRule.objects.filter(Q(organization=organization) | Q(server__in=servers), pool=pool).exists():
        raise Conflict("Rules of the organization send by this pool")
    grants = OrganizationPool.objects.select_related("organization", "pool")
    grant = grants.filter(organization=organization, pool=pool).first()
    if grant is None:
        return
    record(
        actor=actor,
        act="organization_pool.withdrawn",
        target=grant,
        before=snapshot(grant),
        organization_id=organization.pk,
    )
    grant.delete()


@transaction.atomic
def add_members(
    *, pool: IPPool, addresses: Sequence[IPAddress], actor: Actor, organization_id: int | None = None
) -> int:
    """Add addresses to the pool and return how many were new."""
    present = set(pool.members.values_list("ip_address_id", flat=True))
    fresh = [address for address in addresses if address.pk not in present]
    if fresh and pool.namespace is not None:
        _refuse_beyond_quota(pool.namespace, fresh)
    # Two who add the same address at once must not fail each other: the constraint decides.
    IPPoolMember.objects.bulk_create(
        (IPPoolMember(pool=pool, ip_address=address) for address in fresh), ignore_conflicts=True
    )
    if fresh:
        _note_members_changed(pool)
        columns = snapshot(pool)
        record(
            actor=actor,
            act="ip_pool.members_added",
            target=pool,
            before=columns,
            # What came, not what is there: a pool may have a hundred thousand addresses, and an entry names a few.
            after={**columns, "ipv4": [address.ipv4 for address in fresh]},
            organization_id=organization_id,
        )
    return len(fresh)


def _refuse_beyond_quota(namespace: uuid.UUID, fresh: Sequence[IPAddress]) -> None:
    """Raise QuotaExceeded where the pools of this namespace's organization would have too many addresses, each once."""
    owner = Organization.objects.filter(uuid=namespace).values_list("pk", flat=True).first()
    if owner is None:
        return
    organization = lock_organization(owner)
    present = IPPoolMember.objects.filter(pool__namespace=namespace, ip_address__in=[each.pk for each in fresh])
    known = present.values("ip_address_id").distinct().count()
    quotas.refuse_beyond(organization, "max_addresses", more=len(fresh) - known)


@transaction.atomic
def change_pool(*, pool: IPPool, actor: Actor, name: str | None = None, is_default: bool | None = None) -> IPPool:
    """Rename the pool, or make it its namespace's default (new organizations may use the platform's). None stays."""
    lock_addresses()
    changed = _locked(pool)
    before = snapshot(changed)
    if name is not None:
        changed.name = clean_name(name)
        same = IPPool.objects.filter(namespace=changed.namespace, name_key=fold(changed.name))
        if same.exclude(pk=changed.pk).exists():
            raise Invalid(Fault("name", "has already been taken"))
    if is_default and not changed.is_default:
        # One default of a namespace: the new one takes the place of the old.
        _end_default(changed.namespace, actor)
    if is_default is not None:
        changed.is_default = is_default
    save_change(changed, before, act="ip_pool.changed", actor=actor, organization_id=owner_id_of(changed))
    return changed


def _end_default(namespace: uuid.UUID | None, actor: Actor) -> None:
    for former in IPPool.objects.select_for_update().filter(namespace=namespace, is_default=True):
        before = snapshot(former)
        former.is_default = False
        save_change(former, before, act="ip_pool.changed", actor=actor, organization_id=owner_id_of(former))


@transaction.atomic
def remove_members(*, pool: IPPool, addresses: Sequence[IPAddress], actor: Actor) -> int:
    """Remove addresses from the pool and return how many were in it. The addresses are kept."""
    members = pool.members.filter(ip_address__in=addresses).select_related("ip_address")
    ipv4 = list(members.values_list("ip_address__ipv4", flat=True))
    if ipv4:
        members.delete()
        _note_members_changed(pool)
        columns = snapshot(pool)
        record(
            actor=actor,
            act="ip_pool.members_removed",
            target=pool,
            before={**columns, "ipv4": ipv4},
            after=columns,
            organization_id=owner_id_of(pool),
        )
    return len(ipv4)


def _note_members_changed(pool: IPPool) -> None:
    """Record that the pool's addresses changed: the next sweep checks the domains that use the pool."""
    IPPool.objects.filter(pk=pool.pk).update(members_changed_at=Now())


@transaction.atomic
def delete_pool(*, pool: IPPool, actor: Actor) -> None:
    """Delete a pool by which no living server sends and that no rule names; its addresses stay. Raises InUse, Conflict.

    Deleted servers, which refer to their pool too, lose it as they would by a withdrawal.
    """
    doomed = _locked(pool)
    servers = Server.objects.living().filter(ip_pool=doomed).order_by("pk")[:NAMED]
    of_deleted = IPPoolRule.objects.filter(pool=doomed, server__deleted_at__isnull=False)
    rules = IPPoolRule.objects.filter(pool=doomed).exclude(pk__in=of_deleted).order_by("pk")[:NAMED]
    uses = [Dependency("server", each.pk, each.name) for each in servers]
    uses += [Dependency("pool rule", each.pk, str(each)) for each in rules]
    if uses:
        raise InUse(*uses)
    owner_id = owner_id_of(doomed)
    grants = OrganizationPool.objects.filter(pool=doomed)
    others = grants if owner_id is None else grants.exclude(organization_id=owner_id)
    if others.exists():
        raise Conflict("It is granted to organizations: withdraw the grants first")
    record(actor=actor, act="ip_pool.deleted", target=doomed, before=snapshot(doomed), organization_id=owner_id)
    grants.delete()
    of_deleted.delete()
    Server.objects.filter(ip_pool=doomed).update(ip_pool=None)
    doomed.delete()


def _locked(pool: IPPool) -> IPPool:
    # Whole, not `no_key`: a server that is to refer to a pool waits until it is known whether the pool stays.
    return locked(IPPool.objects.all(), pool.pk, noun="pool", no_key=False)


def owner_id_of(pool: IPPool) -> int | None:
    """Return the id of the organization that made the pool; None: it is the platform's."""
    if pool.namespace is None:
        return None
    return Organization.objects.filter(uuid=pool.namespace).values_list("pk", flat=True).first()


@transaction.atomic
def create_platform_pool(*, name: str, is_default: bool = False, actor: Actor) -> IPPool:
    """Create an empty pool of the platform, which can be granted to organizations."""
    lock_addresses()
    name = clean_name(name)
    if IPPool.objects.filter(namespace=None, name_key=fold(name)).exists():
        raise Invalid(Fault("name", "has already been taken"))
    if is_default:
        _end_default(None, actor)
    pool = IPPool.objects.create(name=name, is_default=is_default)
    record(actor=actor, act="ip_pool.created", target=pool, after=snapshot(pool))
    return pool


def _sort_out(ips: Sequence[Any], organization: Organization) -> tuple[dict[str, IPAddress | None], list[str]]:
    """Return what to add (in order; None: to be made) and the warnings, each `<entry>: <reason>`."""
    texts = list(dict.fromkeys(ip.strip() if isinstance(ip, str) else str(ip) for ip in ips))
    existing = usable_by(texts, organization)
    wanted: dict[str, IPAddress | None] = {}
    warnings = []
    for text in texts:
        if not is_ipv4(text):
            warnings.append(f"{text}: Ipv4 is not a valid IPv4 address")
        elif text not in existing:
            wanted[text] = None
        elif existing[text][1]:
            wanted[text] = existing[text][0]
        else:
            warnings.append(f"{text}: Ipv4 has already been taken")
    return wanted, warnings


def usable_by(texts: Sequence[str], organization: Organization) -> dict[str, tuple[IPAddress, bool]]:
    """Return the addresses that exist, each with whether this organization may use it."""
    valid = [text for text in texts if is_ipv4(text)]
    own = Q(pool__organization_pools__organization=organization) | Q(pool__namespace=organization.uuid)
    found: dict[str, tuple[IPAddress, bool]] = {}
    for start in range(0, len(valid), _PARAMETERS):
        batch = IPAddress.objects.filter(ipv4__in=valid[start : start + _PARAMETERS])
        members = IPPoolMember.objects.filter(ip_address__in=batch)
        pooled = set(members.values_list("ip_address_id", flat=True))
        mine = set(members.filter(own).values_list("ip_address_id", flat=True))
        for address in batch:
            found[address.ipv4] = address, address.pk not in pooled or address.pk in mine
    return found


def _made(wanted: dict[str, IPAddress | None], organization: Organization, actor: Actor) -> list[IPAddress]:
    fresh = [
        NewAddress(ipv4=ipv4, hostname=hostname_for(ipv4, organization))
        for ipv4, address in wanted.items()
        if address is None
    ]
    made = iter(create_many(fresh, actor=actor, organization_id=organization.pk))
    return [address if address is not None else next(made) for address in wanted.values()]


def hostname_for(ipv4: str, organization: Organization) -> str:
    """Return the HELO name that an address made by this organization gets, such as `1-1-1-1.acme.postal`."""
    return f"{ipv4.replace('.', '-')}.{organization.permalink}.{settings.SLUICE_HOSTNAME_SUFFIX}"
