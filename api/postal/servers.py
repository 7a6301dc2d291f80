"""`servers/…`: the endpoints of the Servers API, and of a server's senders and addresses."""

import logging
import uuid
from typing import Any

from django.db import DatabaseError
from django.db.models import QuerySet

from api import database
from api.postal import parameters, serializers
from api.postal.authentication import NO_KEY, OptionalServerKey
from api.postal.domains import with_sent
from api.postal.problems import (
    DELETION_ERROR,
    FOREIGN_POOL,
    INVALID_ORGANIZATION,
    INVALID_SERVER,
    LONG_NAME,
    NO_SERVER_CREATION,
    OVER_QUOTA_OF,
    refuse,
)
from api.postal.rows import SERVER_COLUMNS, server_row
from api.postal.views import Given, PostalViewSet, changes, deletes, reads
from api.problems import Code, decline
from api.renderers import Answer
from core.compiled import Compiled
from core.encryption import decrypt
from core.errors import NotFound
from servers.access import Caller
from servers.models import Domain, Organization, Server
from servers.pool_rules import addresses_of
from servers.provisioning import CreatedServer, change_server, create_server, delete_server
from servers.quotas import WITHOUT_A_KEY
from stats.reports import queries

logger = logging.getLogger(__name__)

NOT_COUNTED = "The statistics of this server could not be read; try again in a moment"


class ServerViewSet(PostalViewSet):
    """Servers of the key's organization; without a `server_id` it is the key's own."""

    tag = "Postal: servers"

    @changes(
        "create",
        answers={"server": serializers.NewServer()},
        takes=parameters.CreateServer,
        errors=(INVALID_ORGANIZATION, NO_SERVER_CREATION, LONG_NAME, FOREIGN_POOL, OVER_QUOTA_OF["servers"]),
        authentication=OptionalServerKey,
    )  # fmt: skip
    def create(self, caller: Caller | None, given: Given) -> object:
        """Create a server in the organization, with default API and SMTP credentials.

        Creating is idempotent: a server of the same name is answered with `already_exists: true` and stays as it is.
        """
        organization = _organization_for(caller, given["organization_uuid"])
        ranked: list[int] = []
        if given["ip_pool_id"] is None and given["auto_assign_ip_pool"]:
            ranked = queries.rank_pools(organization.pk)[: given["top_pools_limit"]]
        created = create_server(
            organization=organization,
            name=given["name"],
            mode=parameters.MODES_BY_WORD[given["mode"]],
            pool=given["ip_pool_id"],
            ranked_pool_ids=ranked,
            privacy_mode=given["privacy_mode"],
            skip_provision_database=given["skip_provision_database"],
            actor=caller.actor if caller else WITHOUT_A_KEY,
            keyless_at=None if caller else self.now,
        )
        # Keys of a server that existed are for holders of a key only: nobody may learn them by guessing its name.
        return {"server": new_server(created, with_keys=caller is not None or not created.already_exists)}

    # Asked most; see api.postal.rows for what a serializer would cost.
    @reads("list", answers={"servers": serializers.ServerRow(many=True)}, is_plain=True)
    def list(self, caller: Caller, given: Given) -> object:
        """Every server of the organization that the key's server belongs to, by name."""
        return {"servers": [server_row(row, self.now) for row in _ROWS.all(caller.organization_id)]}

    @reads(
        "show", answers={"server": serializers.ServerDetails()}, takes=parameters.ShowServer, errors=(INVALID_SERVER,),
    )  # fmt: skip
    def show(self, caller: Caller, given: Given) -> object:
        """One server of the key's organization, with statistics."""
        # Only within the caller's organization, so that a foreign server is as unknown as one that is not there.
        rows = _servers_of(caller.organization_id).filter(uuid=given["server_id"] or caller.server_uuid)
        server: Any = rows.values("pk", *SERVER_COLUMNS, "suspension_reason", "organization__name").first()
        if server is None:
            raise refuse(INVALID_SERVER)
        pk, suspended_at, until = server["pk"], server["suspended_at"], server["suspended_until"]
        server["suspended"] = suspended_at is not None and (until is None or until > self.now)
        server["suspension_reason"] = (server["suspension_reason"] or None) if server["suspended"] else None
        server["organization"] = {
            "uuid": caller.organization_uuid,
            "name": server["organization__name"],
            "permalink": caller.organization_permalink,
        }
        if given["include_stats"]:
            server["stats"] = queries.server_sent([pk], self.now)[pk]
        if given["include_domains"]:
            server["domains"] = self._domains(pk, with_stats=given["include_stats"])
        if given["include_detailed_stats"]:
            server["detailed_stats"] = queries.detailed_stats(pk, self.now)
        return {"server": server}

    def _domains(self, server_id: int, *, with_stats: bool) -> object:
        rows = Domain.objects.filter(server_id=server_id).order_by("name")
        domains: Any = rows.only(
            "uuid", "name", "verified_at", "spf_status", "dkim_status", "mx_status", "return_path_status",
            "outgoing", "incoming",
        )  # fmt: skip
        return with_sent(domains, server_id, self.now) if with_stats else domains

    @reads(
        "email-stats",
        answers={**serializers.BETWEEN, "server": serializers.CountedServer()},
        takes=parameters.DateRange,
    )
    def email_stats(self, caller: Caller, given: Given) -> object:
        """How many messages the key's server sent from one day to another, both included."""
        server: dict[str, object] = {
            "uuid": caller.server_uuid,
            "name": caller.server_name,
            "permalink": caller.server_permalink,
        }
        try:
            server["sent_emails"] = queries.sent_between(
                caller.server_id, given["start_date"].date(), given["end_date"].date()
            )
        except DatabaseError:
            # Where nothing can be read this fails too, and the caller is told to come again.
            Server.objects.filter(pk=caller.server_id).exists()
            logger.exception("counts_not_read")
            # Postal: such a server is answered with zero (Servers API, "Notes"). `error` is always there then.
            server |= {"sent_emails": 0, "error": NOT_COUNTED}
        return {**given, "server": server}

    @reads(
        "email-stats-breakdown", answers={**serializers.BETWEEN, **serializers.BREAKDOWN}, takes=parameters.DateRange
    )
    def email_stats_breakdown(self, caller: Caller, given: Given) -> object:
        """How many messages each sender address of the key's server sent, most first, at most 10,000 of them."""
        found = queries.sent_by_sender(caller.server_id, given["start_date"].date(), given["end_date"].date())
        counts = {"breakdown": found.sent, "total_mailboxes": found.mailboxes, "total_emails": found.emails}
        return Answer({**given, **counts}, flags={"truncated": True} if found.is_truncated else {})

    @reads("ip_addresses", answers={"ip_addresses": serializers.Address(many=True)})
    def ip_addresses(self, caller: Caller, given: Given) -> object:
        """Every IP address that the key's server may send by: of its pool, and of its and its organization's pool rules."""
        server = Server.objects.living().filter(pk=caller.server_id).first()
        if server is None:
            raise NotFound("The server could not be found")
        return {"ip_addresses": addresses_of(server).values("ipv4", "ipv6", "hostname", "priority")}

    @changes("update-mode", answers={"server": serializers.SwitchedServer()}, takes=parameters.UpdateMode)
    def update_mode(self, caller: Caller, given: Given) -> object:
        """Switch the key's server between Live and Development."""
        mode = parameters.MODES_BY_WORD[given["mode"]]
        return {"server": change_server(server=Server(pk=caller.server_id), mode=mode, actor=caller.actor)}

    # Not called `delete`: a viewset's methods of that name answer DELETE on every URL.
    @deletes("delete", answers={**serializers.DELETED, "server": serializers.Permalinked()}, errors=(DELETION_ERROR,))
    def destroy(self, caller: Caller, given: Given) -> object:
        """Delete the key's server; its data stay, its keys stop at once."""
        try:
            server = delete_server(server=Server(pk=caller.server_id), at=self.now, actor=caller.actor)
        except NotFound:
            # Somebody else deleted it after this key was found to be right.
            raise refuse(DELETION_ERROR) from None
        except DatabaseError as exc:
            if database.meaning_of(exc) in database.PASSING:
                raise
            raise refuse(DELETION_ERROR) from exc
        return {"deleted": True, "server": server}


def _servers_of(organization_id: int) -> QuerySet[Server]:
    return Server.objects.living().filter(organization_id=organization_id).with_counts()


_ROWS = Compiled((int,), lambda organization_id: _servers_of(organization_id).values_list(*SERVER_COLUMNS))


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


def new_server(created: CreatedServer, *, with_keys: bool = True) -> dict[str, object]:
    """Return what `serializers.NewServer` writes: for servers/create, and for the command create_server."""
    server = created.server
    shape: dict[str, object] = {
        "uuid": server.uuid,
        "name": server.name,
        "permalink": server.permalink,
        "mode": server.mode,
        "created_at": server.created_at,
        "organization": server.organization,
        "smtp_user": f"{server.organization.permalink}/{server.permalink}",
        "already_exists": created.already_exists,
    }
    if with_keys:
        shape["api_key"] = decrypt(created.api_credential.key_ciphertext)
        shape["smtp_key"] = decrypt(created.smtp_credential.key_ciphertext)
    if (pool := server.ip_pool) is not None:
        shape["ip_pool"] = {
            "id": pool.pk, "uuid": pool.uuid, "name": pool.name, "auto_assigned": created.auto_assigned
        }  # fmt: skip
    return shape
