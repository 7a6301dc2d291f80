"""`organizations/…`: the organization of the key's server; any other is unknown."""

from collections import defaultdict
from typing import Any

from api.postal import schemas, shapes
from api.postal.parameters import Identifier
from api.postal.pool_usage import count, pools_of
from api.postal.problems import INVALID_ORGANIZATION, NO_ORGANIZATION_GIVEN, fault, refuse
from api.postal.views import ReadView
from servers.access import Caller
from servers.models import Organization, Server
from servers.pools import addresses_of
from stats.reports import queries

SECONDS_A_MINUTE = 60
UUIDS = (
    Identifier("organization_uuid", "The organization's UUID"),
    Identifier("uuid", "The same by another name"),
)


class OrganizationView(ReadView):
    """An endpoint about the organization that `organization_uuid` or `uuid` names."""

    parameters = UUIDS
    tag = "Postal: organizations"
    errors = (INVALID_ORGANIZATION,)
    is_uuid_required = True

    def organization_of(self, caller: Caller, given: dict[str, Any]) -> Organization:
        """Return the key's own organization; an unknown and a foreign one are refused alike, without a query."""
        asked = given["organization_uuid"] or given["uuid"]
        if asked is None and self.is_uuid_required:
            raise fault(NO_ORGANIZATION_GIVEN)
        if asked not in (None, caller.organization_uuid):
            raise refuse(INVALID_ORGANIZATION)
        return Organization.objects.get(pk=caller.organization_id)


class ListOrganizations(ReadView):
    """The organizations that the key may see: its own."""

    tag = "Postal: organizations"
    data = schemas.ORGANIZATIONS
    examples = ("organizations-list",)

    def answer(self, caller: Caller, given: dict[str, Any]) -> object:
        return {"organizations": [_details(Organization.objects.get(pk=caller.organization_id))]}


class ShowOrganization(OrganizationView):
    """The key's organization."""

    data = schemas.ORGANIZATION_DETAILS
    examples = ("organizations-show",)
    is_uuid_required = False

    def answer(self, caller: Caller, given: dict[str, Any]) -> object:
        return {"organization": _details(self.organization_of(caller, given))}


def _details(organization: Organization) -> dict[str, object]:
    return {
        "uuid": str(organization.uuid),
        "name": organization.name,
        "permalink": organization.permalink,
        "time_zone": organization.time_zone,
        "created_at": shapes.timestamp(organization.created_at),
        "servers_count": Server.objects.living().filter(organization=organization).count(),
    }


class OrganizationStatistics(OrganizationView):
    """How fast the organization's servers send: messages over the last complete minute, and what waits."""

    data = schemas.ORGANIZATION_STATISTICS
    examples = ("organizations-statistics",)
    faults = (NO_ORGANIZATION_GIVEN,)

    def answer(self, caller: Caller, given: dict[str, Any]) -> object:
        organization = self.organization_of(caller, given)
        servers = list(Server.objects.living().filter(organization=organization).values_list("pk", "uuid", "name"))
        ids = [pk for pk, _, _ in servers]
        minute, totals = queries.last_minute(ids, self.now), queries.server_totals(ids)
        rows = [
            {
                "uuid": str(uuid_),
                "name": name,
                "queued_count": queries.queued(totals[pk]),
                "message_rate": minute[pk].sent / SECONDS_A_MINUTE,
                "sent_count": minute[pk].sent,
            }
            for pk, uuid_, name in servers
        ]
        total = sum(each.sent for each in minute.values())
        columns = ("pk", "ipv4", "ipv6", "hostname", "priority")
        addresses = [
            {"id": pk} | shapes.address_row(*row) for pk, *row in addresses_of(organization).values_list(*columns)
        ]
        return {
            "statistics": {
                "uuid": str(organization.uuid),
                "name": organization.name,
                "overall_message_rate": total / SECONDS_A_MINUTE,
                "total_queued_count": sum(queries.queued(each) for each in totals.values()),
                "total_sent": total,
                "servers_count": len(rows),
                "ip_addresses_count": len(addresses),
                "ip_addresses": addresses,
                "servers": rows,
            }
        }


class IPAllocation(OrganizationView):
    """Which servers send by which pools and addresses, with counts of all time."""

    data = schemas.IP_ALLOCATION
    examples = ("organizations-ip-allocation",)
    faults = (NO_ORGANIZATION_GIVEN,)

    def answer(self, caller: Caller, given: dict[str, Any]) -> object:
        organization = self.organization_of(caller, given)
        pools = pools_of(organization.pk)
        count(pools, None, self.now)
        columns = ("pk", "uuid", "name", "ip_pool_id")
        servers = list(Server.objects.living().filter(organization=organization).values_list(*columns))
        totals = queries.server_totals([row[0] for row in servers])
        by_id = {pool.id: pool for pool in pools}
        servers_by_pool: dict[int, list[str]] = defaultdict(list)
        for _, _, name, pool_id in servers:
            servers_by_pool[pool_id].append(name)
        return {
            "organization": {"uuid": str(organization.uuid), "name": organization.name},
            "ip_addresses": shapes.allocated_addresses(pools),
            "ip_pools": [
                {
                    "name": pool.name,
                    "uuid": str(pool.uuid),
                    "default": pool.is_default,
                    "servers": servers_by_pool[pool.id],
                    "emails_sent": pool.total,
                }
                for pool in pools
            ],
            "servers": [
                {
                    "name": name,
                    "uuid": str(uuid_),
                    "ip_pool": by_id[pool_id].name if pool_id in by_id else None,
                    "ip_addresses": [row[1] for row in by_id[pool_id].addresses] if pool_id in by_id else [],
                    "emails_sent": totals[pk].sent,
                }
                for pk, uuid_, name, pool_id in servers
            ],
        }
