"""The scope of a page: the whole platform, or some organizations."""

import datetime
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.core.cache import cache
from django.db.models import QuerySet
from django.http import HttpRequest

from ippools.models import IPPool
from panel.viewer import viewer_of
from servers.access import pools_seen_by, servers_of

# Sums over all servers are the same for everybody who may see them, and seconds old is new enough for them.
FRESH_FOR = datetime.timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool's name and the ids of its addresses."""

    name: str
    address_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Scope:
    """The ids that a user can view; None is all, so that pages of the platform's staff need no list of all ids."""

    key: str
    organization_ids: tuple[int, ...] | None
    server_ids: tuple[int, ...] | None
    pools: dict[int, Pool] | None

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

    def cached[Value](self, name: str, make: Callable[[], Value]) -> Value:
        """Return the result of `make`, cached for some seconds, for all users with the same scope."""
        key = f"panel.{name}.{self.key}"
        value: Value | None = cache.get(key)
        if value is None:
            value = make()
            cache.set(key, value, FRESH_FOR.total_seconds())
        return value


def among(rows: QuerySet[Any], field: str, ids: tuple[int, ...] | None) -> QuerySet[Any]:
    """Return the rows whose field is one of these ids; None means all rows."""
    return rows if ids is None else rows.filter(**{f"{field}__in": ids})


def scope_of(request: HttpRequest) -> Scope:
    """Return the user's scope. No query for the platform's staff, two for all others."""
    viewer = viewer_of(request)
    if viewer.is_platform:
        return Scope("platform", None, None, None)
    organizations = tuple(sorted(viewer.roles))
    servers = tuple(servers_of(viewer.user).filter(deleted_at=None).order_by("pk").values_list("pk", flat=True))
    pools = pools_with_addresses(pools_seen_by(viewer.user))
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
