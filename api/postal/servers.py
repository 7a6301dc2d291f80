"""`servers/…`: the endpoints of the Servers API."""

import uuid
from typing import Any

from django.db import DatabaseError

from api import database
from api.postal import schemas, shapes
from api.postal.authentication import NO_KEY, OptionalServerKey
from api.postal.date_range import DATE_RANGE, range_of
from api.postal.parameters import Choice, Flag, Identifier, Text, Whole
from api.postal.problems import (
    BACKWARDS,
    DELETION_ERROR,
    FOREIGN_POOL,
    INVALID_ORGANIZATION,
    INVALID_SERVER,
    LONG_NAME,
    NO_SERVER_CREATION,
    refuse,
)
from api.postal.views import ChangeView, DeleteView, ReadView
from api.problems import Code, decline
from core.audit import Actor
from core.encryption import decrypt
from core.errors import NotFound
from servers.access import Caller
from servers.models import Domain, Organization, Server
from servers.provisioning import CreatedServer, change_server, create_server, delete_server
from stats.reports import queries

MODE_FAULT = "mode must be either 'Live' or 'Development'"


class CreateServer(ChangeView):
    """Create a server in the organization, with default API and SMTP credentials.

    Creating is idempotent: a server of the same name is answered with `already_exists: true` and stays as it is.
    """

    authentication_classes = [OptionalServerKey]
    parameters = (
        Identifier("organization_uuid", "The UUID of the organization to create the server in", required=True),
        Text("name", "The name of the new server", required=True, example="New Transactional Server"),
        Choice(
            "mode", "Server mode", choices=tuple(shapes.MODES_BY_WORD), default="Live", wrong=MODE_FAULT
        ),
        Whole("ip_pool_id", "The ID of the IP pool to assign to this server"),
        Flag(
            "auto_assign_ip_pool",
            "Assign an IP pool when no `ip_pool_id` is given, round robin among the least used pools",
            default=True,
        ),
        Whole("top_pools_limit", "How many of the least used pools to consider", default=5, least=1),
        Flag("privacy_mode", "Whether to enable privacy mode for this server", default=False),
        Flag("skip_provision_database", "Accepted and recorded: counts here need no database per server", default=False),
    )  # fmt: skip

    data = schemas.CREATED_SERVER
    examples = ("servers-create",)
    errors = (INVALID_ORGANIZATION, NO_SERVER_CREATION, LONG_NAME, FOREIGN_POOL)

    def answer(self, caller: Caller | None, given: dict[str, Any]) -> object:
        organization = _organization_for(caller, given["organization_uuid"])
        ranked: list[int] = []
        if given["ip_pool_id"] is None and given["auto_assign_ip_pool"]:
            ranked = queries.rank_pools(organization.pk)[: given["top_pools_limit"]]
        created = create_server(
            organization=organization,
            name=given["name"],
            mode=shapes.MODES_BY_WORD[given["mode"]],
            pool=given["ip_pool_id"],
            ranked_pool_ids=ranked,
            privacy_mode=given["privacy_mode"],
            skip_provision_database=given["skip_provision_database"],
            actor=caller.actor if caller else Actor.system(),
        )
        # Keys of a server that existed are for holders of a key only: nobody may learn them by guessing its name.
        return {"server": created_server(created, with_keys=caller is not None or not created.already_exists)}


def _organization_for(caller: Caller | None, asked: uuid.UUID) -> Organization:
    """Return the organization to create in; an unknown and a foreign one are refused alike, by the same statements."""
    if caller is None:
        # As in the page's curl example, which has no key.
        organization = Organization.objects.filter(uuid=asked, allow_keyless_create=True, suspended_at=None).first()
        if organization is None:
            raise decline(Code.NOT_AUTHENTICATED, NO_KEY)
        return organization
    if asked != caller.organization_uuid:
        raise refuse(INVALID_ORGANIZATION)
    if not caller.can_manage_organization:
        raise refuse(NO_SERVER_CREATION)
    return Organization.objects.get(pk=caller.organization_id)


def created_server(created: CreatedServer, *, with_keys: bool = True) -> dict[str, object]:
    """Return the server of servers/create, which the command create_server prints too."""
    server = created.server
    organization = server.organization
    shape: dict[str, object] = {
        "uuid": str(server.uuid),
        "name": server.name,
        "permalink": server.permalink,
        "mode": shapes.MODES[server.mode],
        "created_at": shapes.timestamp(server.created_at),
        "organization": shapes.organization(organization.uuid, organization.name, organization.permalink),
    }
    if with_keys:
        shape["api_key"] = decrypt(created.api_credential.key_ciphertext)
        shape["smtp_key"] = decrypt(created.smtp_credential.key_ciphertext)
    shape["smtp_user"] = f"{organization.permalink}/{server.permalink}"
    shape["already_exists"] = created.already_exists
    if server.ip_pool is not None:
        shape["ip_pool"] = shapes.pool_mention(server.ip_pool) | {"auto_assigned": created.auto_assigned}
    return shape


class ListServers(ReadView):
    """Every server of the organization that the key's server belongs to, by name."""

    data = schemas.SERVERS
    examples = ("servers-list",)

    def answer(self, caller: Caller, given: dict[str, Any]) -> object:
        rows = Server.objects.living().filter(organization_id=caller.organization_id).with_counts()
        return {"servers": [shapes.server_row(row, self.now) for row in rows.values_list(*shapes.SERVER_COLUMNS)]}


class ShowServer(ReadView):
    """One server of the key's organization, with statistics."""

    parameters = (
        Identifier("server_id", "The UUID of the server; without it, the server that the API key belongs to"),
        Flag("include_domains", "Also answer with the server's domains", default=False, example=True),
        Flag("include_stats", "false leaves every `stats` out", default=True, example=True),
        Flag("include_detailed_stats", "Also answer with 30 days and 24 hours of counts", default=False),
    )
    data = schemas.SERVER
    examples = ("servers-show", "servers-show-detailed")
    errors = (INVALID_SERVER,)

    def answer(self, caller: Caller, given: dict[str, Any]) -> object:
        row = self._row(caller, given["server_id"])
        *columns, server_id, name = row
        owner = shapes.organization(caller.organization_uuid, name, caller.organization_permalink)
        server = shapes.server_details(columns, owner, self.now)
        if given["include_stats"]:
            server["stats"] = shapes.sent(queries.server_sent([server_id], self.now)[server_id])
        if given["include_domains"]:
            server["domains"] = self._domains(server_id, with_stats=given["include_stats"])
        if given["include_detailed_stats"]:
            server["detailed_stats"] = shapes.detailed(queries.detailed_stats(server_id, self.now))
        return {"server": server}

    @staticmethod
    def _row(caller: Caller, server_id: uuid.UUID | None) -> tuple[Any, ...]:
        """Look only within the caller's organization, so that a foreign server is as unknown as one that is not there."""
        rows = Server.objects.living().filter(organization_id=caller.organization_id).with_counts()
        row = (
            rows.filter(uuid=server_id or caller.server_uuid)
            .values_list(*shapes.SERVER_COLUMNS, "pk", "organization__name")
            .first()
        )
        if row is None:
            raise refuse(INVALID_SERVER)
        return row

    def _domains(self, server_id: int, *, with_stats: bool) -> list[dict[str, object]]:
        rows = list(Domain.objects.filter(server_id=server_id).order_by("name").values_list(*shapes.DOMAIN_COLUMNS))
        names = [row[1] for row in rows]
        sent = queries.domain_sent(server_id, names, self.now) if with_stats else {}
        return [shapes.domain_row(row, sent.get(row[1])) for row in rows]


class EmailStats(ReadView):
    """How many messages the key's server sent from one day to another, both included."""

    parameters = DATE_RANGE
    data = schemas.EMAIL_STATS
    examples = ("servers-email-stats",)
    faults = (BACKWARDS,)

    def answer(self, caller: Caller, given: dict[str, Any]) -> object:
        start, end = range_of(given)
        return {
            "start_date": shapes.whole_seconds(start),
            "end_date": shapes.whole_seconds(end),
            "server": {
                "uuid": str(caller.server_uuid),
                "name": caller.server_name,
                "permalink": caller.server_permalink,
                "sent_emails": queries.sent_between(caller.server_id, start.date(), end.date()),
            },
        }


class UpdateMode(ChangeView):
    """Switch the key's server between Live and Development."""

    parameters = (
        Choice(
            "mode", "The server mode", required=True, choices=tuple(shapes.MODES_BY_WORD), wrong=MODE_FAULT,
            example="Development",
        ),
    )  # fmt: skip
    data = schemas.UPDATED_SERVER
    examples = ("servers-update-mode",)

    def answer(self, caller: Caller, given: dict[str, Any]) -> object:
        mode = shapes.MODES_BY_WORD[given["mode"]]
        server = change_server(server=Server(pk=caller.server_id), mode=mode, actor=caller.actor)
        return {
            "server": {
                "uuid": str(server.uuid),
                "name": server.name,
                "permalink": server.permalink,
                "mode": shapes.MODES[server.mode],
                "updated_at": shapes.timestamp(server.updated_at),
            }
        }


class DeleteServer(DeleteView):
    """Delete the key's server; its data stay, its keys stop at once."""

    data = schemas.DELETED_SERVER
    examples = ("servers-delete",)
    errors = (DELETION_ERROR,)

    def answer(self, caller: Caller, given: dict[str, Any]) -> object:
        try:
            server = delete_server(server=Server(pk=caller.server_id), at=self.now, actor=caller.actor)
        except NotFound:
            # Somebody else deleted it after this key was found to be right.
            raise refuse(DELETION_ERROR) from None
        except DatabaseError as exc:
            if database.meaning_of(exc) is database.Meaning.AWAY:
                raise
            raise refuse(DELETION_ERROR) from exc
        return {
            "deleted": True,
            "server": {"uuid": str(server.uuid), "name": server.name, "permalink": server.permalink},
        }
