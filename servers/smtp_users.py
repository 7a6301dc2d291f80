"""The user name by which a server's customers submit mail: its organization's permalink and its own."""

from servers.models import Server


def smtp_user_of(server: Server) -> str:
    """Return the user name that goes with a server's SMTP keys; the server's organization must be loaded."""
    return f"{server.organization.permalink}/{server.permalink}"
