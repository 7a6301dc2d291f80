"""`organizations/…`: the organization of the key's server; others are unknown."""

from collections import defaultdict
from typing import Any

from api.postal import parameters, serializers
from api.postal.problems import INVALID_ORGANIZATION, refuse
from api.postal.views import Given, PostalViewSet, reads
from servers.access import Caller
from servers.models import Organization, Server
from servers.pools import addresses_of
from stats.reports import queries
from stats.reports.pool_usage import PoolUsage, count, pools_of

SECONDS_A_MINUTE = 60


class OrganizationViewSet(PostalViewSet):
    """The organization that `organization_uuid` or `uuid` names."""

    tag = "Postal: organizations"

    @reads("list", answers={"organizations": serializers.OrganizationDetails(many=True)})
    def list(self, caller: Caller, given: Given) -> object:
        """The organizations that the key may see: its own."""
        return {"organizations": [_details(Organization.objects.get(pk=caller.organization_id))]}

    @reads(
        "show",
        answers={"organization": serializers.OrganizationDetails()},
        takes=parameters.ShowOrganization,
        errors=(INVALID_ORGANIZATION,),
    )
    def show(self, caller: Caller, given: Given) -> object:
        """The key's organization."""
        return {"organization": _details(_organization_of(caller, given))}

    @reads(
        "statistics",
        answers={"statistics": serializers.Statistics()},
        takes=parameters.NamedOrganization,
        errors=(INVALID_ORGANIZATION,),
    )
    def statistics(self, caller: Caller, given: Given) -> object:
        """How fast the organization's servers send: messages over the last complete minute, and what waits."""
        organization = _organization_of(caller, given)
        servers = list(Server.objects.living().filter(organization=organization).values_list("pk", "uuid", "name"))
        ids = [pk for pk, _, _ in servers]
        minute, totals = queries.last_minute(ids, self.now), queries.server_totals(ids)
        total = sum(each.sent for each in minute.values())
        addresses = addresses_of(organization).values("id", "ipv4", "ipv6", "hostname", "priority")
        return {
            "statistics": {
                "uuid": organization.uuid,
                "name": organization.name,
                "overall_message_rate": total / SECONDS_A_MINUTE,
                "total_queued_count": sum(queries.queued(each) for each in totals.values()),
                "total_sent": total,
                "servers_count": len(servers),
                "ip_addresses_count": len(addresses),
                "ip_addresses": addresses,
                "servers": [
                    {
                        "uuid": uuid_,
                        "name": name,
                        "queued_count": queries.queued(totals[pk]),
                        "message_rate": minute[pk].sent / SECONDS_A_MINUTE,
                        "sent_count": minute[pk].sent,
                    }
                    for pk, uuid_, name in servers
                ],
            }
        }

    @reads(
        "ip_allocation",
        answers=serializers.IP_ALLOCATION,
        takes=parameters.NamedOrganization,
        errors=(INVALID_ORGANIZATION,),
    )
    def ip_allocation(self, caller: Caller, given: Given) -> object:
        """Which servers send by which pools and addresses, with counts of all time."""
        organization = _organization_of(caller, given)
        pools = pools_of(organization.pk)
        count(pools, None, self.now)
        columns = ("pk", "uuid", "name", "ip_pool_id")
        servers: Any = [*Server.objects.living().filter(organization=organization).values(*columns)]
        totals = queries.server_totals([each["pk"] for each in servers])
        by_id = {pool.id: pool for pool in pools}
        for each in servers:
            pool = by_id.get(each["ip_pool_id"])
            each["ip_pool"] = None if pool is None else pool.name
            each["ip_addresses"] = [] if pool is None else [address[1] for address in pool.addresses]
            each["emails_sent"] = totals[each["pk"]].sent
            if pool is not None:
                pool.servers.append(each["name"])
        return {"organization": organization, "ip_addresses": _allocated(pools), "ip_pools": pools, "servers": servers}


def _organization_of(caller: Caller, given: Given) -> Organization:
    """Return the key's own organization; an unknown and a foreign one are refused alike, without a query."""
    if (given["organization_uuid"] or given["uuid"]) not in (None, caller.organization_uuid):
        raise refuse(INVALID_ORGANIZATION)
    return Organization.objects.get(pk=caller.organization_id)


def _details(organization: Any) -> Any:
    organization.servers_count = Server.objects.living().filter(organization=organization).count()
    return organization


def _allocated(pools: list[PoolUsage]) -> list[dict[str, object]]:
    """Return each address of some pools once, by id, with the names of the pools that it is in."""
    names: dict[tuple[int, str, str | None, str, int], list[str]] = defaultdict(list)
    sent: dict[int, int] = {}
    for pool in pools:
        sent |= pool.sent
        for address in pool.addresses:
            names[address].append(pool.name)
    return [
        {
            "ipv4": ipv4,
            "ipv6": ipv6,
            "hostname": hostname,
            "priority": priority,
            "ip_pools": found,
            "emails_sent": sent[pk],
        }
        for (pk, ipv4, ipv6, hostname, priority), found in sorted(names.items())
    ]
