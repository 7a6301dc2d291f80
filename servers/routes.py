"""Create, change and delete routes for incoming mail of servers."""

import re
from collections.abc import Iterator
from typing import Any

from core.atomic_acts import atomic_act
from core.audit import Actor
from core.errors import Fault, QuotaExceeded
from core.texts import is_storable
from servers.locks import lock_organization_of
from servers.models import Route, Server
from servers.owned_records import OwnedRecords

CHANGEABLE = frozenset({"name", "domain", "mode", "endpoint"})
ENDPOINT_LENGTH = 2000
MOST_OF_A_SERVER = 1_000
# The part before the @, or `*` for every name that no other route takes.
_NAME = re.compile(r"\*|[a-z0-9._+=~-]{1,64}", re.ASCII | re.IGNORECASE)


def _faults(route: Route) -> Iterator[Fault]:
    if not _NAME.fullmatch(route.name):
        yield Fault("name", "must be the part of an address before the @, or * for every other name")
    elif _is_taken(route):
        yield Fault("name", "has already been taken")
    if route.mode not in Route.Mode.values:
        yield Fault("mode", "must be endpoint, accept, hold, bounce or reject")
    if route.domain is not None and route.domain.server_id != route.server_id:
        yield Fault("domain", "is not a domain of this server")
    if route.mode == Route.Mode.ENDPOINT and not route.endpoint:
        yield Fault("endpoint", "is required for this mode: a URL or an address")
    if route.mode != Route.Mode.ENDPOINT and route.endpoint:
        yield Fault("endpoint", "must be empty: only the mode “Deliver to the endpoint” has one")
    if len(route.endpoint) > ENDPOINT_LENGTH or not is_storable(route.endpoint):
        yield Fault("endpoint", f"must be at most {ENDPOINT_LENGTH} characters, without control characters")


def _is_taken(route: Route) -> bool:
    same = Route.objects.filter(server_id=route.server_id, domain=route.domain, name=route.name)
    return same.exclude(pk=route.pk).exists()


ROUTES = OwnedRecords(Route, CHANGEABLE, frozenset({"name", "endpoint"}), _faults)


@atomic_act
def create_route(*, server: Server, actor: Actor, **columns: Any) -> Route:
    """Make a route of `name`, `mode`, and where they are wanted `domain` and `endpoint`. Raises Invalid, QuotaExceeded."""
    # Under this lock nobody else adds one to the server either.
    lock_organization_of(server)
    if Route.objects.filter(server=server).count() >= MOST_OF_A_SERVER:
        raise QuotaExceeded(f"A server may have at most {MOST_OF_A_SERVER:,} routes")
    return ROUTES.create(server, columns, actor)


@atomic_act
def change_route(*, route: Route, actor: Actor, **changes: Any) -> Route:
    """Change name, domain, mode or endpoint; omitted fields are kept."""
    return ROUTES.change(route, changes, actor)


@atomic_act
def delete_route(*, route: Route, actor: Actor) -> None:
    """Delete the route; the server's other routes apply to its mail."""
    ROUTES.delete(route, actor)
