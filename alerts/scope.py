"""Scopes: the whole platform, or some organizations."""

import datetime
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.core.cache import cache
from django.db.models import QuerySet

from ippools.models import IPPool
from servers.models import Organization

# Sums over all servers are the same for everybody who may see them, and seconds old is new enough for them.
FRESH_FOR = datetime.timedelta(seconds=15)
# On a platform with tens of thousands of servers and addresses they take seconds to add up. Then they are kept for so many
# times as long as they took: a twentieth of a process's time, however many people look.
AT_ONCE = datetime.timedelta(seconds=0.5)
TIMES_AS_LONG, LONGEST = 20, datetime.timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool's name and the ids of its addresses."""

    name: str
    address_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Scope:
    """Ids of records that belong together, as those that a user can view; None is all, so that the platform needs no list."""

    key: str
    organization_ids: tuple[int, ...] | None
    server_ids: tuple[int, ...] | None
    pools: dict[int, Pool] | None
    # Of each condition so many records are named; more are one line with their number.
    named: int = 4

    @property
    def pool_ids(self) -> tuple[int, ...] | None:
        return None if self.pools is None else tuple(self.pools)

    @property
    def address_ids(self) -> tuple[int, ...] | None:
        if self.pools is None:
            return None
        return tuple(sorted({each for pool in self.pools.values() for each in pool.address_ids}))

    @property
    def is_platform(self) -> bool:
        return self.organization_ids is None

    def cached[Value](
        self, name: str, make: Callable[[], Value], *, least: datetime.timedelta = FRESH_FOR, is_renewed: bool = False
    ) -> Value:
        """Return the result of `make`, cached for all users with the same scope: for so long at least, and for longer where it
        takes long to make, so that nothing is made again and again. `least` zero: what is made at once is not kept.
        `is_renewed`: a worker makes it every minute, before what is kept has gone; so what takes long is always there."""
        key = f"panel.{name}.{self.key}"
        value: Value | None = None if is_renewed else cache.get(key)
        if value is None:
            began = time.monotonic()
            value = make()
            took = datetime.timedelta(seconds=time.monotonic() - began)
            kept = least if took <= AT_ONCE else LONGEST if is_renewed else TIMES_AS_LONG * took
            if kept := min(max(kept, least), LONGEST):
                cache.set(key, value, kept.total_seconds())
        return value


def among(rows: QuerySet[Any], field: str, ids: tuple[int, ...] | None) -> QuerySet[Any]:
    """Return the rows whose field is one of these ids; None means all rows."""
    return rows if ids is None else rows.filter(**{f"{field}__in": ids})


PLATFORM = Scope("platform", None, None, None)


def of_organization(organization: Organization) -> Scope:
    """Return the scope of an organization's records: what any of its people can view. Two queries."""
    servers = tuple(organization.servers.filter(deleted_at=None).order_by("pk").values_list("pk", flat=True))
    pools = pools_with_addresses(IPPool.objects.filter(organization_pools__organization=organization))
    return of_ids((organization.pk,), servers, pools)


def of_ids(organizations: tuple[int, ...], servers: tuple[int, ...], pools: dict[int, Pool]) -> Scope:
    """Return the scope of these records."""
    # The ids themselves: who gains or loses a server, pool or address looks at other sums at once.
    digest = hashlib.sha256(repr((organizations, servers, sorted(pools.items()))).encode()).hexdigest()
    return Scope(digest, organizations, servers, pools)


def pools_with_addresses(pools: QuerySet[IPPool]) -> dict[int, Pool]:
    """Return pools by id, with the addresses of each. One query."""
    found: dict[int, tuple[str, list[int]]] = {}
    for pk, name, address in pools.order_by("pk").values_list("pk", "name", "members__ip_address_id"):
        addresses = found.setdefault(pk, (name, []))[1]
        if address is not None:
            addresses.append(address)
    return {pk: Pool(name, tuple(sorted(addresses))) for pk, (name, addresses) in found.items()}
