"""Refuses unknown keys: each is counted, and too many are answered with a time to wait."""

import logging

from redis.exceptions import RedisError

from api.problems import Code, Declined, decline
from core import lockout

logger = logging.getLogger(__name__)


def wrong_key(key: str, address: str, *, message: str, too_many: str, authenticate: str = "") -> Declined:
    """Return the exception for a wrong key from an address, with the words of the dialect, and its challenge if it has one."""
    try:
        is_limited = lockout.count_wrong_key(key=key, address=address)
    except (RedisError, OSError):
        # Nobody guesses a key: without the counts the answer is the same, only never "too many".
        logger.warning("wrong_keys_not_counted", exc_info=True)
        is_limited = False
    if is_limited:
        return decline(Code.TOO_MANY, too_many, retry_after=lockout.LOCKED_FOR)
    return decline(Code.WRONG_CREDENTIALS, message, authenticate=authenticate)
