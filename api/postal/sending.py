"""`servers/ip_addresses` and `servers/email-stats-breakdown`: by what, and from whom, the key's server sends."""

from typing import Any

from api.postal import schemas, shapes
from api.postal.date_range import DATE_RANGE, range_of
from api.postal.problems import BACKWARDS
from api.postal.views import ReadView
from api.renderers import Answer
from core.errors import NotFound
from servers.access import Caller
from servers.models import Server
from servers.pool_rules import addresses_of
from stats.reports import queries


class ListIPAddresses(ReadView):
    """Every IP address that the key's server may send by: its pool's, and those of its and its organization's pool rules."""

    data = schemas.IP_ADDRESSES
    examples = ("servers-ip-addresses",)

    def answer(self, caller: Caller, given: dict[str, Any]) -> object:
        server = Server.objects.living().filter(pk=caller.server_id).first()
        if server is None:
            raise NotFound("The server could not be found")
        rows = addresses_of(server).values_list("ipv4", "ipv6", "hostname", "priority")
        return {"ip_addresses": [shapes.address_row(*row) for row in rows]}


class EmailStatsBreakdown(ReadView):
    """How many messages each sender address of the key's server sent, most first, at most 10,000 of them."""

    parameters = DATE_RANGE
    data = schemas.EMAIL_STATS_BREAKDOWN
    examples = ("servers-email-stats-breakdown",)
    faults = (BACKWARDS,)

    def answer(self, caller: Caller, given: dict[str, Any]) -> object:
        start, end = range_of(given)
        found = queries.sent_by_sender(caller.server_id, start.date(), end.date())
        data = {
            "start_date": shapes.whole_seconds(start),
            "end_date": shapes.whole_seconds(end),
            "breakdown": found.sent,
            "total_mailboxes": found.mailboxes,
            "total_emails": found.emails,
        }
        return Answer(data, flags={"truncated": True} if found.is_truncated else {})
