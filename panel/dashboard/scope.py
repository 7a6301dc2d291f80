"""The scope of a page."""

from django.http import HttpRequest

from alerts.scope import PLATFORM, Scope, of_ids, pools_with_addresses
from panel.viewer import viewer_of
from servers.access import pools_seen_by, servers_of


def scope_of(request: HttpRequest) -> Scope:
    """Return the user's scope. No query for the platform's staff, two for all others."""
    viewer = viewer_of(request)
    if viewer.is_platform:
        return PLATFORM
    servers = servers_of(viewer.user).filter(deleted_at=None).order_by("pk").values_list("pk", flat=True)
    pools = pools_with_addresses(pools_seen_by(viewer.user))
    return of_ids(tuple(sorted(viewer.roles)), tuple(servers), pools)
