"""Relay servers: made, changed, deleted. Acts raise Invalid with all faults at once, and then have changed nothing."""

from collections.abc import Mapping
from typing import Any

from core.attributes import ABSENT, Attributes, only_given
from core.audit import Actor, record, snapshot
from core.encryption import encrypt
from core.errors import NotFound
from core.races import atomic_act
from ippools.addresses import lock_addresses
from ippools.attributes import read_hostname, read_ipv4, read_name
from ippools.models import RelayServer, VirtualMTA
from ippools.models.relay_server import HIGHEST_PORT
from ippools.redirects import read_redirect
from ippools.used_by import refuse_deletion
from throttling.reading import LIMITS, read_limit

USERNAME_LENGTH = 200
PASSWORD_LENGTH = 1_000


@atomic_act
def create(values: Mapping[str, Any], *, actor: Actor) -> RelayServer:
    """Make a relay server of `name`, `source_ip`, `destination` and `throttle_limits`; `redirect` is optional."""
    lock_addresses()
    attributes = Attributes(values)
    columns = _read(attributes, pk=None)
    attributes.refuse_if_faulty()
    relay = RelayServer(kind=VirtualMTA.Kind.RELAY_SERVER, **columns)
    relay.save(force_insert=True)
    record(actor=actor, act="relay_server.created", target=relay, after=snapshot(relay))
    return relay


@atomic_act
def update(relay_id: int, values: Mapping[str, Any], *, actor: Actor) -> RelayServer:
    """Change what is given. Raises NotFound."""
    lock_addresses()
    relay = _locked(relay_id)
    before = snapshot(relay)
    attributes = Attributes(values, is_partial=True)
    columns = _read(attributes, pk=relay.pk)
    attributes.refuse_if_faulty()
    for name, value in columns.items():
        setattr(relay, name, value)
    relay.save()
    # What the password is stays out of the trail; that it changed does not.
    after = {**snapshot(relay), **({"password_changed": True} if "destination_password" in columns else {})}
    record(actor=actor, act="relay_server.updated", target=relay, before=before, after=after)
    return relay


@atomic_act
def delete(relay_id: int, *, actor: Actor) -> None:
    """Delete a relay server that nothing refers to. Raises NotFound, InUse, Conflict."""
    lock_addresses()
    relay = _locked(relay_id)
    refuse_deletion(relay)
    record(actor=actor, act="relay_server.deleted", target=relay, before=snapshot(relay))
    relay.delete()


def _read(attributes: Attributes, *, pk: int | None) -> dict[str, Any]:
    columns = {"name": read_name(attributes, pk=pk), "redirect_id": read_redirect(attributes, pk=pk)}
    source = attributes.part("source_ip")
    if isinstance(source, Attributes):
        columns["source_ip"] = read_ipv4(source, "ip")
        columns["source_hostname"] = read_hostname(source, "hostname")
    destination = attributes.part("destination")
    if isinstance(destination, Attributes):
        columns["destination_hostname"] = read_hostname(destination, "hostname", may_be_ipv4=True)
        columns["destination_port"] = destination.integer("port", lowest=1, highest=HIGHEST_PORT)
        columns["destination_username"] = destination.text(
            "username", is_required=False, is_nullable=True, longest=USERNAME_LENGTH
        )
        columns["destination_password"] = _read_password(destination)
    limits = attributes.part("throttle_limits")
    if isinstance(limits, Attributes):
        columns.update({name: read_limit(limits, name) for name in LIMITS})
    return only_given(columns)


def _read_password(destination: Attributes) -> Any:
    """Return the ciphertext of the password.

    A password is read back as null, so null must keep the stored one: a client that sends a record as it read it would
    otherwise wipe it. The empty string takes it away.
    """
    password = destination.text("password", is_required=False, is_nullable=True, longest=PASSWORD_LENGTH)
    if password is ABSENT or password is None:
        return ABSENT
    return encrypt(password) if password else None


def _locked(relay_id: int) -> RelayServer:
    relay = RelayServer.objects.select_for_update(of=("self",)).filter(pk=relay_id).first()
    if relay is None:
        raise NotFound("The relay server could not be found")
    return relay
