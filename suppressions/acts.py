"""Suppress addresses and remove suppressions: by hand, by API, by import."""

import datetime
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from core import ends
from core.atomic_acts import atomic_act
from core.audit import Actor, record
from core.errors import Fault, Invalid, NotFound, QuotaExceeded
from core.sql_lists import texts
from servers.models import Organization, Server
from suppressions import lists
from suppressions.addresses import NotAnAddress, entered, masked, normalized, refuse_too_many
from suppressions.keys import Keys
from suppressions.lists import Entry, Written
from suppressions.models import Reason, Suppression, SuppressionList

_NAMED = 20


@atomic_act
def suppress(
    *,
    organization: Organization,
    server: Server | None,
    addresses: Sequence[str],
    reason: Reason,
    at: datetime.datetime,
    actor: Actor,
    expires_at: datetime.datetime | None = None,
) -> Written:
    """Suppress up to 1,000 addresses for a server, or for all servers (None). What is suppressed stays; the later end counts.

    Raises Invalid with a fault for each text that is not an address (`addresses[3]`), NotFound for a server of another
    organization, and QuotaExceeded, with nothing written.
    """
    found = read_addresses(addresses, read=entered)
    if faults := ends.faults_of("expires_at", expires_at, at=at):
        raise Invalid(*faults)
    entries = [
        Entry(organization.pk, organization.uuid, server_id_of(server, organization), address, reason, expires_at)
        for address in found
    ]
    written = _write(entries, organization, at=at, actor=actor)
    _record(organization, server, written.added, found, actor=actor, act="suppression.added", more={"reason": reason})
    return written


@atomic_act
def remove(
    *,
    organization: Organization,
    server: Server | None,
    addresses: Sequence[str],
    at: datetime.datetime,
    actor: Actor,
) -> int:
    """Remove the suppressions of up to 1,000 addresses for a server, or those for all servers (None); return their number.

    Raises Invalid and NotFound as `suppress` does. Only events from after the removal suppress an address again.
    """
    found = read_addresses(addresses)
    server_id = server_id_of(server, organization)
    held = lists.held([organization.pk])
    keys = Keys.ensured(at=at)
    digests = {keys.digest(organization.uuid, address) for address in found}
    rows = Suppression.objects.filter(organization=organization, server=server_id, digest__in=texts(digests))
    removed = lists.remove(rows, held, at=at)
    _record(organization, server, removed, found, actor=actor, act="suppression.removed")
    return removed


@atomic_act
def remove_one(*, suppression: Suppression, at: datetime.datetime, actor: Actor) -> None:
    """Remove an entry, whose address need not be known. Raises NotFound where it was removed meanwhile."""
    held = lists.held([suppression.organization_id])
    row = Suppression.objects.filter(pk=suppression.pk, removed_at=None).first()
    if row is None:
        raise NotFound("The suppression could not be found")
    lists.remove([row], held, at=at)
    named = {"addresses": [row.masked], "count": 1, "server_id": row.server_id}
    record(
        actor=actor, act="suppression.removed", target=row, before=named, organization_id=suppression.organization_id
    )


def read_addresses(texts_: Sequence[str], *, read: Callable[[str], str] = normalized) -> list[str]:
    """Return normalized addresses, each once. Raises Invalid with a fault for each that is not one, and for too many."""
    refuse_too_many(texts_)
    found: dict[str, None] = {}
    faults = []
    for position, text in enumerate(texts_):
        try:
            found[read(text)] = None
        except NotAnAddress:
            faults.append(Fault(f"addresses[{position}]", "must be an e-mail address"))
    if faults:
        raise Invalid(*faults)
    return list(found)


def server_id_of(server: Server | None, organization: Organization) -> int | None:
    """Return the server's id; raises NotFound where it is deleted or of another organization."""
    if server is None:
        return None
    if not Server.objects.living().filter(pk=server.pk, organization=organization).exists():
        raise NotFound("The server could not be found")
    return server.pk


def _write(entries: Sequence[Entry], organization: Organization, *, at: datetime.datetime, actor: Actor) -> Written:
    """Write entries of one organization, in the caller's transaction; raises QuotaExceeded where not all of them fit."""
    held = lists.held([organization.pk])
    written = lists.write(entries, held, Keys.ensured(at=at), at=at, actor_label=actor.label)
    if written.beyond:
        raise QuotaExceeded("The organization has as many suppressions as the platform allows")
    return written


def _record(
    organization: Organization,
    server: Server | None,
    number: int,
    addresses: Iterable[str],
    *,
    actor: Actor,
    act: str,
    more: dict[str, Any] | None = None,
) -> None:
    """Write one entry for all addresses of an act, masked; none where it changed nothing."""
    if not number:
        return
    named = {
        "addresses": [masked(each) for each in list(addresses)[:_NAMED]],
        "count": number,
        "server_id": None if server is None else server.pk,
        **(more or {}),
    }
    record(
        actor=actor,
        act=act,
        target=SuppressionList(organization=organization),
        before=named if act.endswith("removed") else None,
        after=None if act.endswith("removed") else named,
        organization_id=organization.pk,
    )
