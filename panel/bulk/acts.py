"""The bulk actions: pause addresses, suspend servers, hold credentials."""

import datetime

from django.utils import timezone

from core.audit import Actor
from ippools import ip_addresses, pausing
from ippools.models import IPAddress
from panel.bulk.registry import bulk_act
from panel.forms.suspension import PauseForm, SuspensionForm
from servers import credentials, provisioning
from servers.models import Credential, Server


@bulk_act(
    model="ippools.IPAddress",
    title="Pause delivery",
    notice="These addresses send no mail until they are resumed, and neither do their redirects.",
    done="paused",
    form=PauseForm,
)
def pause_addresses(address: IPAddress, actor: Actor, *, reason: str, until: str | None) -> None:
    ends = None if until is None else datetime.datetime.fromisoformat(until)
    pausing.pause(address.pk, reason=reason, until=ends, at=timezone.now(), actor=actor)


@bulk_act(
    model="ippools.IPAddress",
    title="Resume delivery",
    notice="These addresses may send mail again.",
    done="resumed",
)
def resume_addresses(address: IPAddress, actor: Actor) -> None:
    pausing.resume(address.pk, actor=actor)


@bulk_act(
    model="ippools.IPAddress",
    title="Delete",
    notice="The addresses and their own rules are deleted; their statistics are kept. Addresses in a pool cannot be deleted.",
    done="deleted",
    permission="delete",
)
def delete_addresses(address: IPAddress, actor: Actor) -> None:
    ip_addresses.delete(address.pk, actor=actor)


@bulk_act(
    model="servers.Server",
    title="Suspend",
    notice="The keys of these servers stop working at once. Servers that are already suspended are not changed.",
    done="suspended",
    form=SuspensionForm,
)
def suspend_servers(server: Server, actor: Actor, *, reason: str, until: str | None) -> None:
    if server.suspended_at is None:
        ends = None if until is None else datetime.datetime.fromisoformat(until)
        provisioning.suspend_server(server=server, reason=reason, until=ends, at=timezone.now(), actor=actor)


@bulk_act(
    model="servers.Server",
    title="Resume",
    notice="The keys of these servers work again, unless their organization is suspended.",
    done="resumed",
)
def resume_servers(server: Server, actor: Actor) -> None:
    if server.suspended_at is not None:
        provisioning.resume_server(server=server, actor=actor)


@bulk_act(
    model="servers.Credential",
    title="Hold",
    notice="Programs that use these credentials are refused until they are released.",
    done="held",
)
def hold_credentials(credential: Credential, actor: Actor) -> None:
    credentials.hold_credential(credential=credential, at=timezone.now(), actor=actor)


@bulk_act(
    model="servers.Credential",
    title="Release",
    notice="Programs may use these credentials again.",
    done="released",
)
def release_credentials(credential: Credential, actor: Actor) -> None:
    credentials.release_credential(credential=credential, actor=actor)
