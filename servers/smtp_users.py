"""The SMTP user name of a server: the permalinks of organization and server."""

from servers.models import Server


def smtp_user_of(server: Server) -> str:
    """Return the user name that goes with a server's SMTP keys; the server's organization must be loaded."""
    return f"{server.organization.permalink}/{server.permalink}"
