"""Row locks, in a fixed order: an organization before its servers.

All are locked `no_key`: rows that refer to them may be written meanwhile.
"""

from core.acts import locked
from core.errors import NotFound
from servers.models import Organization, Server


def lock_organization(pk: int) -> Organization:
    """Serialize changes of an organization's records (names, pools); raises NotFound if it was deleted."""
    return locked(Organization.objects.all(), pk)


def lock_organization_of(server: Server) -> Organization:
    """Do the same for a server's organization; only the server's id need be known."""
    organization_id = Server.objects.filter(pk=server.pk).values_list("organization_id", flat=True).first()
    if organization_id is None:
        raise NotFound("The server could not be found")
    return lock_organization(organization_id)


def lock_server(server: Server) -> Server:
    """Return the current server with its organization, locked; raises NotFound if it is deleted."""
    return locked(Server.objects.living().select_related("organization"), server.pk)
