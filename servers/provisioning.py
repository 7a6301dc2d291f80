"""Organizations and servers: create, change, suspend, resume, delete, restore."""

import datetime
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import count
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Manager, QuerySet

from core import acts, ends
from core.atomic_acts import atomic_act
from core.audit import Actor, record, snapshot
from core.errors import Conflict, Fault, Invalid, NotAllowed, NotFound
from core.lockout import Guess
from core.models.user import validate_time_zone
from core.names import PERMALINK_LENGTH, fold, numbered, slugify
from core.texts import clean_name, clean_text, is_storable, quoted
from ippools.models import IPPool
from servers import credentials, guesses, permalinks, pools, quotas, send_limits, verifications
from servers.access import is_platforms
from servers.due_domains import recheck_domains_of
from servers.locks import lock_organization, lock_organization_of, lock_server
from servers.models import Credential, Organization, OrganizationPool, Server

REASON_LENGTH = 500
# Of an organization.
CHANGEABLE = frozenset(
    {"name", "permalink", "time_zone", "allow_keyless_create", "requires_second_factor", *quotas.FIELDS}
)


@dataclass(frozen=True, slots=True)
class CreatedServer:
    """The result of create_server."""

    server: Server
    already_exists: bool
    auto_assigned: bool
    api_credential: Credential
    smtp_credential: Credential


@transaction.atomic
def create_organization(
    *,
    name: str,
    at: datetime.datetime,
    actor: Actor,
    permalink: str = "",
    time_zone: str = "UTC",
    allow_keyless_create: bool = False,
    requires_second_factor: bool = False,
    limits: Mapping[str, int | None] | None = None,
) -> Organization:
    """Create an organization, which can use the platform's default pool. `permalink` empty: derived from the name.

    `limits` are quotas of its own, by the names of their columns. `at` is now.
    """
    name = clean_name(name)
    permalinks.lock_names()
    organization = Organization(
        name=name,
        time_zone=time_zone,
        allow_keyless_create=allow_keyless_create,
        requires_second_factor=requires_second_factor,
    )
    _assign(organization, dict(limits or {}), {*quotas.FIELDS})
    slug = slugify(name, fallback="organization")
    organization.permalink = permalink or _free_permalink(
        slug, Organization.objects, permalinks.held_like(_stem(slug), at=at)
    )
    _check_organization(organization, at, actor)
    organization.permalink_since = permalinks.first_taken(organization.permalink, at=at)
    organization.save(force_insert=True)
    _record_creation(actor, "organization.created", organization, organization.pk)
    for pool in IPPool.objects.filter(namespace=None, is_default=True):
        pools.grant_pool(organization=organization, pool=pool, actor=actor)
    return organization


def find_organization(permalink: str) -> Organization:
    """Return the organization with this permalink; raises NotFound."""
    found = Organization.objects.filter(permalink=permalink).first() if is_storable(permalink) else None
    if found is None:
        raise NotFound(f"The organization {quoted(permalink)} could not be found")
    return found


@transaction.atomic
def change_organization(
    *, organization: Organization, at: datetime.datetime, actor: Actor, **changes: Any
) -> Organization:
    """Change name, permalink, time_zone, allow_keyless_create, requires_second_factor or quotas; what is not named stays.

    A quota of None is the platform's.
    A permalink that is given up goes on meaning the organization for a while (servers/permalinks.py). `at` is now.
    """
    permalinks.lock_names()
    locked = lock_organization(organization.pk)
    before, was = snapshot(locked), locked.permalink
    if "name" in changes:
        changes["name"] = clean_name(changes["name"])
    _assign(locked, changes, CHANGEABLE)
    is_guess = (fold(locked.name), locked.permalink) != (locked.name_key, was) and not is_platforms(actor)
    if is_guess and not guesses.is_within(Guess.NAME, organization_id=locked.pk, at=at):
        raise Conflict("Too many names were tried today: try again tomorrow")
    _check_organization(locked, at, actor)
    if locked.permalink != was:
        permalinks.change(locked, was, at=at)
    return _saved(actor, "organization.changed", locked, before)


@transaction.atomic
def suspend_organization(
    *, organization: Organization, reason: str, at: datetime.datetime, actor: Actor
) -> Organization:
    """Suspend the organization: all keys of its servers are refused until it is resumed."""
    reason = clean_text(reason, field="reason", longest=REASON_LENGTH)
    locked = lock_organization(organization.pk)
    before = snapshot(locked)
    locked.suspended_at, locked.suspension_reason = at, reason
    return _saved(actor, "organization.suspended", locked, before)


@transaction.atomic
def resume_organization(*, organization: Organization, actor: Actor) -> Organization:
    """Resume the organization; servers that are suspended themselves stay suspended."""
    locked = lock_organization(organization.pk)
    before = snapshot(locked)
    locked.suspended_at, locked.suspension_reason = None, ""
    return _saved(actor, "organization.resumed", locked, before)


@atomic_act
def create_server(
    *,
    organization: Organization,
    name: str,
    actor: Actor,
    mode: str = Server.Mode.LIVE,
    pool: IPPool | int | None = None,
    ranked_pool_ids: Sequence[int] = (),
    privacy_mode: bool = False,
    skip_provision_database: bool = False,
    keyless_at: datetime.datetime | None = None,
) -> CreatedServer:
    """Make a server with its default API and SMTP credentials; a living one of the same name (folded) is returned as it is.

    Exact under races: creates in one organization wait for each other. `pool` (or its id) must be one the organization
    may use.
    Without it, the server gets the pool of `ranked_pool_ids` that was assigned longest ago (ties: the better rank).
    On an existing server the other parameters are ignored, and only a missing default credential is made. `keyless_at` is now,
    where the caller has no key: such creations have a quota an hour. Raises QuotaExceeded.
    """
    name = clean_name(name)
    # The lock on the organization is what makes "same name, same server" and the round robin exact.
    organization = lock_organization(organization.pk)
    existing = (
        Server.objects.living()
        .select_related("ip_pool", "organization")
        .filter(organization=organization, name_key=fold(name))
        .first()
    )
    if existing is not None:
        api, smtp = _default_credentials(existing, actor)
        return CreatedServer(
            existing, already_exists=True, auto_assigned=False, api_credential=api, smtp_credential=smtp
        )
    quotas.refuse_beyond(organization, "max_servers")
    if keyless_at is not None:
        quotas.refuse_keyless_beyond(organization, at=keyless_at)
    _check_mode(mode)
    if pool is not None:
        pool = pools.pools_of(organization).filter(pk=pool.pk if isinstance(pool, IPPool) else pool).first()
        if pool is None:
            raise Invalid(Fault("ip_pool_id", "is not a pool of this organization"))
    auto_assigned = False
    if pool is None and ranked_pool_ids:
        pool = _next_pool(organization, ranked_pool_ids)
        auto_assigned = pool is not None
    rivals = Server.objects.living().filter(organization=organization)
    server = Server.objects.create(
        organization=organization,
        name=name,
        permalink=_free_permalink(slugify(name, fallback="server"), rivals),
        mode=mode,
        ip_pool=pool,
        privacy_mode=privacy_mode,
        skip_provision_database=skip_provision_database,
    )
    _record_creation(actor, "server.created", server, organization.pk)
    api, smtp = _default_credentials(server, actor)
    return CreatedServer(
        server, already_exists=False, auto_assigned=auto_assigned, api_credential=api, smtp_credential=smtp
    )


@atomic_act
def change_server(*, server: Server, actor: Actor, **changes: Any) -> Server:
    """Change name, mode, ip_pool, privacy_mode or a send limit; omitted fields are kept. A deleted server is NotFound."""
    if changes.keys() & {"name", "ip_pool"}:
        # Names are taken and pools withdrawn under the organization's lock. It comes before the server's, as everywhere.
        lock_organization_of(server)
    locked = lock_server(server)
    before = snapshot(locked)
    if "name" in changes:
        changes["name"] = clean_name(changes["name"])
        same = Server.objects.living().filter(organization_id=locked.organization_id, name_key=fold(changes["name"]))
        if same.exclude(pk=locked.pk).exists():
            raise Invalid(Fault("name", "has already been taken"))
    _check_mode(changes.get("mode", Server.Mode.LIVE))
    send_limits.check(changes)
    pool = changes.get("ip_pool")
    was_pool_id = locked.ip_pool_id
    if (
        pool is not None
        and pool.pk != was_pool_id
        and not pools.pools_of(locked.organization).filter(pk=pool.pk).exists()
    ):
        raise Invalid(Fault("ip_pool", "is not a pool of this organization"))
    _assign(locked, changes, {"name", "mode", "ip_pool", "privacy_mode", *send_limits.FIELDS.values()})
    if locked.ip_pool_id != was_pool_id:
        recheck_domains_of(locked)
    return _saved(actor, "server.changed", locked, before)


@transaction.atomic
def suspend_server(
    *,
    server: Server,
    reason: str,
    at: datetime.datetime,
    actor: Actor,
    until: datetime.datetime | None = None,
) -> Server:
    """Suspend the server: its keys are refused. `until` None: until it is resumed.

    Whoever of the organization acts on a server that the platform suspended gets NotAllowed.
    """
    if faults := ends.faults_of("until", until, at=at):
        raise Invalid(*faults)
    reason = clean_text(reason, field="reason", longest=REASON_LENGTH)
    locked = _suspendable(server, actor)
    before = snapshot(locked)
    locked.suspended_at, locked.suspended_until, locked.suspension_reason = at, until, reason
    locked.suspended_by_platform = is_platforms(actor)
    return _saved(actor, "server.suspended", locked, before)


@transaction.atomic
def resume_server(*, server: Server, actor: Actor) -> Server:
    """Resume the server; its organization's suspension is separate. The platform's suspension only the platform ends."""
    locked = _suspendable(server, actor)
    before = snapshot(locked)
    locked.suspended_at, locked.suspended_until, locked.suspension_reason = None, None, ""
    locked.suspended_by_platform = False
    return _saved(actor, "server.resumed", locked, before)


def _suspendable(server: Server, actor: Actor) -> Server:
    """Lock the server for a change of its suspension; raises NotAllowed where it is not the actor's to change."""
    locked = lock_server(server)
    if locked.suspended_by_platform and not is_platforms(actor):
        raise NotAllowed("The platform suspended this server, so only the platform can resume it")
    return locked


@transaction.atomic
def delete_server(*, server: Server, at: datetime.datetime, actor: Actor) -> Server:
    """Mark the server as deleted: its keys are invalid, its name is free, its counts are kept. Again: NotFound."""
    locked = lock_server(server)
    before = snapshot(locked)
    locked.deleted_at = at
    return _saved(actor, "server.deleted", locked, before)


@transaction.atomic
def restore_server(*, server: Server, at: datetime.datetime, actor: Actor) -> Server:
    """Restore a deleted server with its keys; Conflict if its name or permalink has been taken.

    Networks of its SMTP-IP credentials that another organization has taken meanwhile are held.

    A pool that was withdrawn from the organization meanwhile is withdrawn from the server too, and so are rules by it.
    """
    organization = lock_organization_of(server)
    locked = acts.locked(Server.objects.all(), server.pk)
    if locked.deleted_at is None:
        raise Conflict("The server is not deleted")
    rivals = Server.objects.living().filter(organization=organization)
    if rivals.filter(name_key=locked.name_key).exists() or rivals.filter(permalink=locked.permalink).exists():
        raise Conflict("Another server has taken its name or permalink")
    quotas.refuse_beyond(organization, "max_servers")
    before = snapshot(locked)
    verifications.resume(locked, at=at, deleted_at=locked.deleted_at)
    locked.deleted_at = None
    granted = pools.pools_of(organization)
    if locked.ip_pool_id and not granted.filter(pk=locked.ip_pool_id).exists():
        locked.ip_pool = None
    for rule in locked.pool_rules.exclude(pool__in=granted):
        record(
            actor=actor, act="ip_pool_rule.deleted", target=rule, before=snapshot(rule), organization_id=organization.pk
        )
        rule.delete()
    restored = _saved(actor, "server.restored", locked, before)
    credentials.hold_returning(server=restored, at=at, actor=actor)
    return restored


def _assign(record_: Organization | Server, changes: dict[str, Any], allowed: AbstractSet[str]) -> None:
    for field, value in changes.items():
        if field not in allowed:
            raise TypeError(f"{field} cannot be changed by this act")
        setattr(record_, field, value)


def _check_mode(mode: str) -> None:
    if mode not in Server.Mode.values:
        raise Invalid(Fault("mode", "must be live or development"))


def _check_organization(organization: Organization, at: datetime.datetime, actor: Actor) -> None:
    faults: list[Fault] = []
    same = Organization.objects.exclude(pk=organization.pk)
    if same.filter(name_key=fold(organization.name)).exists():
        faults.append(Fault("name", "has already been taken"))
    if organization.permalink != slugify(organization.permalink, fallback=""):
        faults.append(Fault("permalink", "must be of lower-case letters, digits and hyphens, at most 63"))
    elif same.filter(permalink=organization.permalink).exists():
        faults.append(Fault("permalink", "has already been taken"))
    else:
        faults += permalinks.faults(organization, at=at, by=actor)
    for field in quotas.FIELDS:
        limit = getattr(organization, field)
        if limit is not None and not 0 <= limit <= quotas.HIGHEST:
            faults.append(Fault(field, f"must be from 0 to {quotas.HIGHEST}"))
    try:
        validate_time_zone(organization.time_zone)
    except ValidationError:
        faults.append(Fault("time_zone", "is not the name of a time zone"))
    if faults:
        raise Invalid(*faults)


def _default_credentials(server: Server, actor: Actor) -> tuple[Credential, Credential]:
    found = {each.kind: each for each in server.credentials.filter(is_default=True)}
    for kind, name in ((Credential.Kind.API, "Default API key"), (Credential.Kind.SMTP, "Default SMTP key")):
        if kind not in found:
            found[kind] = credentials.create_credential(
                server=server,
                kind=kind,
                name=name,
                is_default=True,
                can_manage_organization=kind == Credential.Kind.API,
                actor=actor,
            ).credential
    return found[Credential.Kind.API], found[Credential.Kind.SMTP]


def _next_pool(organization: Organization, ranked_pool_ids: Sequence[int]) -> IPPool | None:
    """Take the pool assigned longest ago. The organization's row is locked, so the choice is serialized."""
    assigned = {
        row.pool_id: row for row in OrganizationPool.objects.filter(organization=organization).select_related("pool")
    }
    candidates = [assigned[pool_id] for pool_id in ranked_pool_ids if pool_id in assigned]
    if not candidates:
        return None
    chosen = min(candidates, key=lambda row: row.last_assigned_seq)
    latest = max(row.last_assigned_seq for row in assigned.values())
    OrganizationPool.objects.filter(pk=chosen.pk).update(last_assigned_seq=latest + 1)
    return chosen.pool


def _free_permalink(
    slug: str, rivals: Manager[Organization] | QuerySet[Server], held: AbstractSet[str] = frozenset()
) -> str:
    taken = held | set(rivals.filter(permalink__startswith=_stem(slug)).values_list("permalink", flat=True))
    return next(each for number in count(1) if (each := numbered(slug, number, length=PERMALINK_LENGTH)) not in taken)


def _stem(slug: str) -> str:
    # All that could be in the way begin alike: `numbered` cuts at most this much of the slug.
    return slug[: PERMALINK_LENGTH - len("-1234567890")]


def _record_creation(actor: Actor, act: str, target: Organization | Server, organization_id: int) -> None:
    record(actor=actor, act=act, target=target, after=snapshot(target), organization_id=organization_id)


def _saved[Record: (Organization, Server)](actor: Actor, act: str, target: Record, before: dict[str, Any]) -> Record:
    """Save the record, or these columns of it, if anything changed."""
    organization_id = target.organization_id if isinstance(target, Server) else target.pk
    unrecorded = ("permalink_since",) if isinstance(target, Organization) else ()
    acts.save_change(target, before, act=act, actor=actor, organization_id=organization_id, unrecorded=unrecorded)
    return target
