"""Which of some addresses are suppressed for a server."""

import datetime
import uuid
from collections.abc import Sequence

from core.sql_lists import texts
from suppressions.addresses import NotAnAddress, normalized
from suppressions.keys import Keys
from suppressions.models import Suppression


def find(
    addresses: Sequence[str],
    *,
    server_id: int,
    organization_id: int,
    organization_uuid: uuid.UUID,
    at: datetime.datetime,
) -> list[Suppression | None]:
    """Return the active entry that stops the server's mail to each address, the server's own first; None: nothing does.

    A text that is not an address is not suppressed. Two queries.
    """
    keys = Keys(at=at)
    digests: list[str | None] = []
    for text in addresses:
        try:
            digests.append(keys.digest(organization_uuid, normalized(text)))
        except NotAnAddress:
            digests.append(None)
    wanted = {digest for digest in digests if digest is not None}
    rows = Suppression.objects.active(at).for_server(server_id, organization_id).filter(digest__in=texts(wanted))
    # The server's own come last, and win.
    found = {row.digest: row for row in sorted(rows.select_related("server"), key=lambda row: row.server_id or 0)}
    return [None if digest is None else found.get(digest) for digest in digests]
