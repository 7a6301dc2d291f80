"""Create, change and delete relay servers. Invalid names all faults at once, and nothing has changed then."""

from collections.abc import Mapping
from typing import Any, TypedDict, Unpack

from core.acts import assign, locked, save_change
from core.atomic_acts import atomic_act
from core.audit import Actor, record, snapshot
from core.encryption import decrypt, encrypt
from core.errors import Faults
from core.references import Reference
from core.texts import is_storable
from ippools import values
from ippools.addresses import lock_addresses
from ippools.models import RelayServer, VirtualMTA
from ippools.models.relay_server import HIGHEST_PORT
from ippools.redirects import validate_redirect
from ippools.used_by import refuse_deletion
from ippools.virtual_mtas import validate_columns
from throttling.drafts import LIMITS
from throttling.models.rule_set import HIGHEST_LIMIT

USERNAME_LENGTH = 200
PASSWORD_LENGTH = 1_000


class RelayFields(TypedDict, total=False):
    """The input of create and change. A password of None keeps the stored one, and "" removes it."""

    name: str
    redirect: Reference | None
    source_ip: str
    source_hostname: str
    destination_hostname: str
    destination_port: int
    destination_username: str | None
    destination_password: str | None
    max_concurrent_connections: int
    max_messages_per_hour: int


@atomic_act
def create(*, actor: Actor, faults: Faults | None = None, **given: Unpack[RelayFields]) -> RelayServer:
    """Create a relay server; the redirect, the user name and the password may be left out."""
    lock_addresses()
    relay = RelayServer(kind=VirtualMTA.Kind.RELAY_SERVER)
    for name, value in _validated(relay, given, faults).items():
        setattr(relay, name, value)
    relay.save(force_insert=True)
    record(actor=actor, act="relay_server.created", target=relay, after=snapshot(relay))
    return relay


@atomic_act
def change(relay_id: int, *, actor: Actor, faults: Faults | None = None, **given: Unpack[RelayFields]) -> RelayServer:
    """Change the given fields. Raises NotFound."""
    if given.get("redirect") is not None:
        lock_addresses()
    relay = _locked(relay_id)
    columns = _validated(relay, given, faults)
    before = snapshot(relay)
    secret = assign(relay, columns) & {"destination_password"}
    # What the password is stays out of the trail; that it changed does not.
    said = {"password_changed": True} if secret else {}
    save_change(
        relay,
        before,
        act="relay_server.changed",
        actor=actor,
        unrecorded=secret,
        document=lambda relay: snapshot(relay) | said,
    )
    return relay


@atomic_act
def delete(relay_id: int, *, actor: Actor) -> None:
    """Delete a relay server that nothing refers to. Raises NotFound, InUse, Conflict."""
    lock_addresses()
    relay = _locked(relay_id)
    refuse_deletion(relay)
    record(actor=actor, act="relay_server.deleted", target=relay, before=snapshot(relay))
    relay.delete()


def _validated(relay: RelayServer, given: RelayFields, faults: Faults | None) -> dict[str, Any]:
    """Validate the given fields, and return the columns; `relay` has the others. Raises Invalid."""
    faults = Faults() if faults is None else faults
    columns: dict[str, Any] = {key: given[key] for key in given if key not in ("redirect", "destination_password")}  # type: ignore[literal-required]
    if "name" in given and (relay.pk is None or given["name"] != relay.name):
        validate_columns({"name": given["name"]}, pk=relay.pk, faults=faults)
    if "redirect" in given:
        columns["redirect_id"] = validate_redirect(given["redirect"], pk=relay.pk, faults=faults)
    _validate_texts(columns, faults)
    if "destination_port" in given:
        faults.integer("destination_port", given["destination_port"], lowest=1, highest=HIGHEST_PORT)
    for limit in LIMITS:
        if limit in given:
            faults.integer(limit, columns[limit], lowest=0, highest=HIGHEST_LIMIT)
    password = given.get("destination_password")
    if password is not None:
        if not is_storable(password):
            faults.add("destination_password", "must not contain control characters")
        elif len(password) > PASSWORD_LENGTH:
            faults.add("destination_password", f"must be at most {PASSWORD_LENGTH} characters in length")
        stored = None if relay.destination_password is None else decrypt(relay.destination_password)
        if password != (stored or ""):
            columns["destination_password"] = encrypt(password) if password else None
    faults.refuse()
    return columns


def _validate_texts(columns: Mapping[str, Any], faults: Faults) -> None:
    for name, found in (
        ("source_ip", values.ipv4_faults),
        ("source_hostname", values.hostname_faults),
        ("destination_hostname", destination_faults),
    ):
        for message in found(columns[name]) if name in columns else ():
            faults.add(name, message)
    username = columns.get("destination_username") or ""
    if not is_storable(username):
        faults.add("destination_username", "must not contain control characters")
    elif len(username) > USERNAME_LENGTH:
        faults.add("destination_username", f"must be at most {USERNAME_LENGTH} characters in length")


def destination_faults(text: str) -> list[str]:
    """Return what is wrong with the destination: a host name or an IPv4 address."""
    return [] if values.is_ipv4(text) else values.hostname_faults(text)


def _locked(relay_id: int) -> RelayServer:
    return locked(RelayServer.objects.select_related("redirect"), relay_id, no_key=False)
