"""Finds which addresses are suppressed for a server."""

import datetime
import uuid
from collections.abc import Sequence

from django.db.models import QuerySet

from core.sql_lists import texts
from servers.models import Organization
from suppressions.addresses import NotAnAddress, normalized, refuse_too_many
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

    A text that is not an address is not suppressed. Raises Invalid for more than 1,000. Two queries.
    """
    refuse_too_many(addresses)
    keys = Keys.known()
    if keys is None:
        return [None] * len(addresses)
    digests = [_digest(keys, organization_uuid, text) for text in addresses]
    wanted = {digest for digest in digests if digest is not None}
    rows = Suppression.objects.active(at).for_server(server_id, organization_id).filter(digest__in=texts(wanted))
    # The server's own come last, and win.
    found = {row.digest: row for row in sorted(rows.select_related("server"), key=lambda row: row.server_id or 0)}
    return [None if digest is None else found.get(digest) for digest in digests]


def with_address(
    rows: QuerySet[Suppression], address: str, *, organizations: QuerySet[Organization]
) -> QuerySet[Suppression]:
    """Return those of the entries of these organizations that are for an address; none for what is not one.

    Two queries before that of the entries.
    """
    keys = Keys.known()
    try:
        wanted = normalized(address)
    except NotAnAddress:
        return rows.none()
    if keys is None:
        return rows.none()
    uuids = organizations.filter(suppression_list__isnull=False).order_by().values_list("uuid", flat=True)
    return rows.filter(digest__in=texts({keys.digest(each, wanted) for each in uuids}))


def _digest(keys: Keys, organization: uuid.UUID, text: str) -> str | None:
    try:
        return keys.digest(organization, normalized(text))
    except NotAnAddress:
        return None
