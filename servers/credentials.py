"""Credentials of servers: create, change, rotate, hold, release, reveal, delete."""

import datetime
import ipaddress
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from core import ends, keys
from core.acts import locked, save_change
from core.audit import Actor, record, snapshot
from core.encryption import decrypt, encrypt
from core.errors import Conflict, Fault, Invalid, NotAllowed, NotFound
from core.lockout import Guess
from core.sql_lists import ids
from core.texts import clean_name
from servers import client_networks, guesses, quotas
from servers.access import is_platforms
from servers.locks import lock_organization_of
from servers.models import Credential, Server


@dataclass(frozen=True, slots=True)
class KeyedCredential:
    """A new credential and its key in clear text."""

    credential: Credential
    key: str


@transaction.atomic
def create_credential(
    *,
    server: Server,
    kind: str,
    name: str,
    actor: Actor,
    is_default: bool = False,
    can_manage_organization: bool = False,
    expires_at: datetime.datetime | None = None,
) -> KeyedCredential:
    """Create an API or SMTP credential with a new key. A deleted server is NotFound."""
    if kind not in {Credential.Kind.API, Credential.Kind.SMTP}:
        raise Invalid(Fault("kind", "must be api or smtp"))
    name = clean_name(name)
    if faults := ends.calendar_faults("expires_at", expires_at):
        raise Invalid(*faults)
    _refuse_deleted(server)
    if not is_default:
        quotas.refuse_beyond(lock_organization_of(server), "max_credentials")
    credential = Credential(
        server=server,
        kind=kind,
        name=name,
        is_default=is_default,
        can_manage_organization=can_manage_organization,
        expires_at=expires_at,
    )
    key = _take_key(credential)
    credential.save(force_insert=True)
    _record(actor, "credential.created", credential, after=snapshot(credential))
    return KeyedCredential(credential, key)


@transaction.atomic
def create_network_credential(
    *, server: Server, name: str, network: str, at: datetime.datetime, actor: Actor
) -> Credential:
    """Create an SMTP-IP credential: clients in this network (CIDR) need no key.

    Only the platform may let it be very large, or overlap another organization's; others may try so many a day.
    """
    credential = Credential(server=server, kind=Credential.Kind.SMTP_IP, name=clean_name(name))
    clients = _read_network(network)
    credential.network = str(clients)
    _refuse_deleted(server)
    # Before networks are compared: a tenant whose organization is busy would keep all others waiting.
    quotas.refuse_beyond(lock_organization_of(server), "max_credentials")
    if is_platforms(actor):
        credential.shares_network = client_networks.overlaps_others(clients, organization_id=server.organization_id)
    else:
        if not guesses.is_within(Guess.NETWORK, organization_id=server.organization_id, at=at):
            raise Invalid(client_networks.NOT_BY_ITSELF)
        client_networks.refuse_foreign(clients, organization_id=server.organization_id)
    credential.save(force_insert=True)
    _record(actor, "credential.created", credential, after=snapshot(credential))
    return credential


@transaction.atomic
def change_credential(*, credential: Credential, actor: Actor, **changes: Any) -> Credential:
    """Change name, expires_at or can_manage_organization; omitted fields are kept."""
    if unknown := set(changes) - {"name", "expires_at", "can_manage_organization"}:
        raise TypeError(f"{', '.join(sorted(unknown))} cannot be changed by this act")
    changed = _locked(credential)
    before = snapshot(changed)
    for field, value in changes.items():
        setattr(changed, field, clean_name(value) if field == "name" else value)
    if faults := ends.calendar_faults("expires_at", changed.expires_at):
        raise Invalid(*faults)
    if changed.can_manage_organization and changed.kind != Credential.Kind.API:
        raise Invalid(Fault("can_manage_organization", "is for API keys only"))
    save_change(changed, before, act="credential.changed", actor=actor, organization_id=changed.server.organization_id)
    return changed


@transaction.atomic
def rotate_credential(*, credential: Credential, actor: Actor) -> KeyedCredential:
    """Rotate the credential's key; the old one is invalid at once."""
    rotated = _locked(credential)
    if rotated.kind == Credential.Kind.SMTP_IP:
        raise Conflict("An SMTP-IP credential has no key to rotate")
    before = snapshot(rotated)
    key = _take_key(rotated)
    rotated.save(update_fields=["key_prefix", "key_digest", "key_ciphertext", "updated_at"])
    # Not by `save_change`: no column that can be recorded shows that the key has changed.
    _record(actor, "credential.rotated", rotated, before=before, after=snapshot(rotated))
    return KeyedCredential(rotated, key)


@transaction.atomic
def hold_credential(*, credential: Credential, at: datetime.datetime, actor: Actor) -> Credential:
    """Refuse the credential until it is released; holding a held one changes nothing."""
    return _set_held(credential, at, actor, "credential.held")


@transaction.atomic
def release_credential(*, credential: Credential, actor: Actor) -> Credential:
    """Let a held credential work again; releasing one that is not held changes nothing.

    A network that overlaps another organization's is released by the platform alone.
    """
    if credential.kind == Credential.Kind.SMTP_IP:
        client_networks.serialize()
    found = _locked(credential)
    if found.kind == Credential.Kind.SMTP_IP and found.held_at is not None:
        organization_id, network = found.server.organization_id, ipaddress.ip_network(found.network)
        if is_platforms(actor):
            is_shared = client_networks.overlaps_others(network, organization_id=organization_id)
            _share(found, is_shared=is_shared, actor=actor)
        else:
            client_networks.refuse_foreign(network, organization_id=organization_id)
    return _set_held(credential, None, actor, "credential.released")


@transaction.atomic
def share_network(*, credential: Credential, actor: Actor) -> Credential:
    """Decide that the credential's network may overlap other organizations': its node takes mail by it. The platform's act."""
    found = _locked(credential)
    if found.kind != Credential.Kind.SMTP_IP:
        raise Conflict("The credential has no network")
    if not is_platforms(actor):
        raise NotAllowed("Only the platform decides about networks of several organizations")
    _share(found, is_shared=True, actor=actor)
    return found


@transaction.atomic
def hold_returning(*, server: Server, at: datetime.datetime, actor: Actor) -> int:
    """Hold the networks of a restored server that others' clients are in by now, and return how many there were."""
    returning = Credential.objects.filter(server=server, kind=Credential.Kind.SMTP_IP, held_at=None)
    networks = {pk: ipaddress.ip_network(text) for pk, text in returning.values_list("pk", "network")}
    if not networks:
        return 0
    taken = client_networks.overlapping(networks, organization_id=server.organization_id)
    for each in returning.filter(pk__in=ids(taken)).order_by("pk"):
        _set_held(each, at, actor, "credential.held")
    return len(taken)


@transaction.atomic
def reveal_key(*, credential: Credential, actor: Actor) -> str:
    """Return the key in clear text, and record the access in the audit trail."""
    # Locked and read again: the caller's copy may be from before a rotation.
    revealed = _locked(credential)
    if not revealed.key_ciphertext:
        raise Conflict("An SMTP-IP credential has no key to reveal")
    _record(actor, "credential.revealed", revealed)
    return decrypt(revealed.key_ciphertext)


@transaction.atomic
def delete_credential(*, credential: Credential, actor: Actor) -> None:
    """Delete the credential; its key is invalid at once."""
    deleted = _locked(credential)
    _record(actor, "credential.deleted", deleted, before=snapshot(deleted))
    deleted.delete()


def _locked(credential: Credential) -> Credential:
    return locked(Credential.objects.select_related("server").filter(server__deleted_at=None), credential.pk)


def _refuse_deleted(server: Server) -> None:
    if not Server.objects.living().filter(pk=server.pk).exists():
        raise NotFound("The server could not be found")


def _share(credential: Credential, *, is_shared: bool, actor: Actor) -> None:
    if credential.shares_network == is_shared:
        return
    before = snapshot(credential)
    credential.shares_network = is_shared
    save_change(
        credential, before, act="credential.changed", actor=actor, organization_id=credential.server.organization_id
    )


def _set_held(credential: Credential, held_at: datetime.datetime | None, actor: Actor, act: str) -> Credential:
    changed = _locked(credential)
    if (changed.held_at is None) == (held_at is None):
        return changed
    before = snapshot(changed)
    changed.held_at = held_at
    save_change(changed, before, act=act, actor=actor, organization_id=changed.server.organization_id)
    return changed


def _take_key(credential: Credential) -> str:
    key = keys.issue(credential)
    credential.key_ciphertext = encrypt(key)
    return key


def _read_network(text: str) -> client_networks.Network:
    try:
        # A zone (fe80::%eth0) would name one of our interfaces, not a client.
        if "%" not in text:
            return ipaddress.ip_network(text.strip())
    except ValueError:
        pass
    raise Invalid(Fault("network", "must be a network such as 192.0.2.0/24"))


def _record(actor: Actor, act: str, credential: Credential, **states: Any) -> None:
    record(actor=actor, act=act, target=credential, organization_id=credential.server.organization_id, **states)
