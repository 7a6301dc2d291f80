"""SendLimitApproaching and SendLimitExceeded: calls a server's webhooks when it approaches or exceeds a send limit."""

import datetime
from collections.abc import Collection

from servers.models import SendLimitMark
from webhooks.payloads import LIMIT_APPROACHING, LIMIT_EXCEEDED, of_limit
from webhooks.queueing import queue, targets_of

_EVENTS = {SendLimitMark.Level.APPROACHING: LIMIT_APPROACHING, SendLimitMark.Level.EXCEEDED: LIMIT_EXCEEDED}


def announce(marks: Collection[SendLimitMark], *, now: datetime.datetime) -> int:
    """Write the deliveries for marks that begin in the caller's transaction; return how many there are.

    A server at its limit that was never seen near it has two marks at once, and both are told. One query where there are any.
    """
    if not marks:
        return 0
    targets = targets_of({mark.server_id for mark in marks})
    events = [(mark, _EVENTS[SendLimitMark.Level(mark.level)]) for mark in marks]
    told = (
        (target, event, of_limit(mark.server, volume=mark.sent, limit=mark.limit))
        for mark, event in events
        for target in targets.get(mark.server_id, ())
        if target.wants(event)
    )
    return queue(told, now=now)
