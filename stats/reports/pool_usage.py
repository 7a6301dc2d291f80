"""Use of an organization's pools: messages sent per address, and which pool is used least."""

import datetime
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field

from ippools.models import IPPool, IPPoolMember
from stats.reports.queries import order_of, sent_by_address


@dataclass(slots=True)
class PoolUsage:
    """A pool with its addresses, each as (id, ipv4, ipv6, hostname, priority), and what they sent, by id.

    Counts of an address are the platform's, by whichever pool and for whomever it sent: that is what "least used" needs.
    """

    id: int
    uuid: uuid.UUID
    name: str
    is_default: bool
    created_at: datetime.datetime
    addresses: list[tuple[int, str, str | None, str, int]] = field(default_factory=list)
    sent: dict[int, int] = field(default_factory=dict)
    # The names of the servers that send by it, where they are asked for.
    servers: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Messages that the pool's addresses sent."""
        return sum(self.sent[address[0]] for address in self.addresses)

    @property
    def ip_count(self) -> int:
        return len(self.addresses)

    @property
    def rounded_average(self) -> float:
        """Messages per address, as it is shown."""
        return round(self.total / len(self.addresses), 2) if self.addresses else 0.0


def pools_of(organization_id: int) -> list[PoolUsage]:
    """Return the pools that the organization may use, by id, with their addresses by id; nothing is counted yet."""
    granted = IPPool.objects.filter(organization_pools__organization_id=organization_id).order_by("pk")
    columns = ("pk", "uuid", "name", "is_default", "created_at")
    pools = {row[0]: PoolUsage(*row) for row in granted.values_list(*columns)}
    members = IPPoolMember.objects.filter(pool__organization_pools__organization_id=organization_id)
    address = ("ip_address_id", "ip_address__ipv4", "ip_address__ipv6", "ip_address__hostname", "ip_address__priority")
    for pool_id, *row in members.order_by("ip_address_id").values_list("pool_id", *address):
        # A pool granted between the two queries is left for the next call.
        if pool_id in pools:
            pools[pool_id].addresses.append(tuple(row))
    return list(pools.values())


def count(pools: Iterable[PoolUsage], period: str | None, now: datetime.datetime) -> None:
    """Fill in what each address sent in a period; None is all time."""
    pools = list(pools)
    sent = sent_by_address({address[0] for pool in pools for address in pool.addresses}, period, now)
    for pool in pools:
        pool.sent = sent


def least_used(pools: Iterable[PoolUsage]) -> PoolUsage | None:
    """Return the pool that comes first by use; None where none has an address."""
    with_addresses = (each for each in pools if each.addresses)
    return min(with_addresses, key=lambda each: order_of(each.id, each.total, each.ip_count), default=None)
