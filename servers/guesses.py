"""Counts what people of an organization try whose refusal tells of another organization: such names and networks are unique.

After so many in a day no more are compared, so that nobody goes through them.
"""

import datetime

from core import lockout
from core.errors import Conflict


def is_within(what: lockout.Guess, *, organization_id: int, at: datetime.datetime) -> bool:
    """Count one, and return whether it may be compared; raises Conflict where it cannot be counted."""
    # Here, for commands that change organizations start without Redis's client.
    from redis.exceptions import RedisError

    try:
        return lockout.count_guess(what, organization_id=organization_id, on=at.date())
    except (RedisError, OSError):
        raise Conflict("This cannot be changed at the moment: try again later") from None
