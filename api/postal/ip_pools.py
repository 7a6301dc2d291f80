"""`servers/ip_pools…`: the endpoints of the IP Pools API."""

from typing import Any

from api.postal import schemas, shapes
from api.postal.parameters import Choice, Flag, Items, Text
from api.postal.pool_usage import count, least_used, pools_of
from api.postal.problems import LONG_NAME, NO_POOL_CREATION, NO_VALID_IP_POOLS, TAKEN_NAME, refuse
from api.postal.views import ChangeView, IPPoolsPage, ReadView
from api.renderers import encode
from servers.access import Caller
from servers.models import Organization
from servers.pools import create_pool
from stats.counts.buckets import Period

STATS_PERIOD = Choice(
    "stats_period",
    "The period of the statistics, by the UTC calendar; all time without it",
    choices=tuple(Period.values),
    wrong=f"Invalid 'stats_period' parameter (must be one of {', '.join(Period.values)})",
)


class ListIPPools(IPPoolsPage, ReadView):
    """The IP pools that the organization may use, with their addresses."""

    parameters = (
        Flag("include_stats", "Include usage statistics for each IP pool and IP address", default=False),
        STATS_PERIOD,
        Flag(
            "find_least_used", "With `include_stats`, also name the least used IP pool", default=False, example=True
        ),
    )  # fmt: skip
    data = schemas.IP_POOLS
    examples = ("ip-pools-list", "ip-pools-list-stats")

    def answer(self, caller: Caller, given: dict[str, Any]) -> object:
        with_stats = given["include_stats"]
        pools = pools_of(caller.organization_id)
        if with_stats:
            count(pools, given["stats_period"], self.now)
        data: dict[str, object] = {"ip_pools": [shapes.pool_row(pool, with_stats=with_stats) for pool in pools]}
        if with_stats and given["find_least_used"]:
            least = least_used(pools)
            if least is not None:
                data["least_used_pool"] = shapes.pool_mention(least)
        return data


class CreateIPPool(IPPoolsPage, ChangeView):
    """Create an IP pool and add IP addresses to it; addresses that exist are reused."""

    parameters = (
        Text("name", "The name of the new IP pool", required=True, example="Apple"),
        Items(
            "ips", "IPv4 addresses to add to the pool", required=True, example=["1.1.1.1", "2.2.2.2"],
            missing="Missing or invalid 'ips' parameter (must be an array)",
            wrong="Missing or invalid 'ips' parameter (must be an array)",
        ),
    )  # fmt: skip
    data = schemas.CREATED_IP_POOL
    examples = ("ip-pools-create", "ip-pools-create-warnings")
    errors = (TAKEN_NAME, LONG_NAME, NO_POOL_CREATION)

    def answer(self, caller: Caller, given: dict[str, Any]) -> object:
        if not caller.can_manage_organization:
            raise refuse(NO_POOL_CREATION)
        organization = Organization.objects.get(pk=caller.organization_id)
        ips = [_text_of(entry) for entry in given["ips"]]
        created = create_pool(organization=organization, name=given["name"], ips=ips, actor=caller.actor)
        rows = [{"id": each.pk, "ipv4": each.ipv4, "hostname": each.hostname} for each in created.addresses]
        pool = shapes.pool_mention(created.pool) | {
            "created_at": shapes.timestamp(created.pool.created_at),
            "ip_addresses": rows,
        }
        return {"ip_pool": pool} | ({"warnings": created.warnings} if created.warnings else {})


def _text_of(entry: object) -> str:
    """Return an entry as a warning shows it: text as it is, anything else as its JSON."""
    if isinstance(entry, str):
        return entry
    try:
        return encode(entry).decode()
    except TypeError:
        # JSON may be read deeper than it can be written.
        return "(nested too deeply)"


class LeastUsedIPPool(IPPoolsPage, ReadView):
    """The IP pool with the fewest messages per IP address."""

    parameters = (STATS_PERIOD,)
    data = schemas.LEAST_USED_IP_POOL
    examples = ("ip-pools-least-used",)
    errors = (NO_VALID_IP_POOLS,)

    def answer(self, caller: Caller, given: dict[str, Any]) -> object:
        pools = pools_of(caller.organization_id)
        count(pools, given["stats_period"], self.now)
        least = least_used(pools)
        if least is None:
            raise refuse(NO_VALID_IP_POOLS)
        return {"ip_pool": shapes.pool_head(least) | {"stats": shapes.pool_stats(least)}}
