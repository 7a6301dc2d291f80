"""`servers/ip_pools…`: the endpoints of the IP Pools API."""

from api.postal import parameters, serializers
from api.postal.problems import (
    LONG_NAME,
    MANY_POOLS,
    NO_POOL_CREATION,
    NO_VALID_IP_POOLS,
    OVER_QUOTA_OF,
    TAKEN_NAME,
    TOO_MANY_IPS,
    refuse,
)
from api.postal.renderers import ip_pools_renderer
from api.postal.rows import pool_row
from api.postal.views import Given, PostalViewSet, changes, reads
from api.renderers import encode
from servers.access import Caller
from servers.models import Organization
from servers.pools import create_pool
from stats.reports.pool_usage import count, least_used, pools_of


class IPPoolViewSet(PostalViewSet):
    """The pools that the key's organization may use."""

    tag = "Postal: IP pools"
    renderer = ip_pools_renderer

    # Up to thousands of addresses in an answer; see api.postal.rows for what serializers would cost.
    @reads(
        "/",
        answers={"ip_pools": serializers.Pool(many=True), "least_used_pool": serializers.PoolMention(required=False)},
        takes=parameters.ListIPPools, is_plain=True,
    )  # fmt: skip
    def list(self, caller: Caller, given: Given) -> object:
        """The IP pools that the organization may use, with their addresses."""
        with_stats = given["include_stats"]
        pools = pools_of(caller.organization_id)
        if with_stats:
            count(pools, given["stats_period"], self.now)
        data: dict[str, object] = {"ip_pools": [pool_row(pool, with_stats=with_stats) for pool in pools]}
        if with_stats and given["find_least_used"]:
            least = least_used(pools)
            if least is not None:
                data["least_used_pool"] = {"id": least.id, "uuid": str(least.uuid), "name": least.name}
        return data

    @changes(
        "create",
        answers={"ip_pool": serializers.NewPool(), "warnings": serializers.Texts(min_length=1, required=False)},
        takes=parameters.CreateIPPool,
        errors=(
            TAKEN_NAME, LONG_NAME, NO_POOL_CREATION, TOO_MANY_IPS, MANY_POOLS, OVER_QUOTA_OF["IP addresses in its own pools"],
        ),
    )  # fmt: skip
    def create(self, caller: Caller, given: Given) -> object:
        """Create an IP pool and add IP addresses to it; addresses that exist are reused."""
        if not caller.can_manage_organization:
            raise refuse(NO_POOL_CREATION)
        organization = Organization.objects.get(pk=caller.organization_id)
        ips = [_text_of(entry) for entry in given["ips"]]
        created = create_pool(organization=organization, name=given["name"], ips=ips, actor=caller.actor)
        pool = created.pool
        shape = {"id": pool.pk, "uuid": pool.uuid, "name": pool.name, "created_at": pool.created_at}
        answer = {"ip_pool": {**shape, "ip_addresses": created.addresses}}
        return {**answer, "warnings": created.warnings} if created.warnings else answer

    @reads(
        "least_used",
        answers={"ip_pool": serializers.LeastUsed()},
        takes=parameters.LeastUsedIPPool,
        errors=(NO_VALID_IP_POOLS,),
    )
    def least_used(self, caller: Caller, given: Given) -> object:
        """The IP pool with the fewest messages per IP address."""
        pools = pools_of(caller.organization_id)
        count(pools, given["stats_period"], self.now)
        least = least_used(pools)
        if least is None:
            raise refuse(NO_VALID_IP_POOLS)
        return {"ip_pool": least}


def _text_of(entry: object) -> str:
    """Return an entry as a warning shows it: text as it is, anything else as its JSON."""
    if isinstance(entry, str):
        return entry
    try:
        return encode(entry).decode()
    except TypeError:
        # JSON may be read deeper than it can be written.
        return "(nested too deeply)"
