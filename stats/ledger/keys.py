"""The key of an event, derived from the event only, so that a replay has the same key, and ordered by time.

48 bits of `at` in milliseconds, then 80 bits of SHA-256 over server, type, id and recipient, whose mailbox is stored nowhere.
Ordered keys make the index cheap (COPY is 2.6 times as fast as with random keys), and PostgreSQL partitions by them, a day
each.
"""

import functools
import hashlib
import uuid

MILLISECONDS_A_MINUTE = 60_000
MILLISECONDS_A_DAY = 86_400_000
_TIME_BYTES = 6
_HASH_BYTES = 10


def event_key(milliseconds: int, server: bytes, kind: int, identifier: str, recipient: str = "") -> bytes:
    """Return the 16 bytes for an event of this server (the bytes of its uuid) at this time; the texts are any.

    The identifier's length stands before it, so that no text moved from one to the other gives the same key.
    """
    digest = _begun(server).copy()
    digest.update(f"{kind}:{len(identifier)}:{identifier}{recipient}".encode("utf-8", "surrogatepass"))
    return milliseconds.to_bytes(_TIME_BYTES, "big") + digest.digest()[:_HASH_BYTES]


# To begin a digest takes OpenSSL longer than to copy one and to hash these few bytes.
@functools.lru_cache(maxsize=4096)
def _begun(server: bytes) -> "hashlib._Hash":
    return hashlib.sha256(server)


def least_key(day: int) -> uuid.UUID:
    """Return the least key that an event of this day (since 1970) can have; of the next day: where this one ends."""
    return uuid.UUID(int=(day * MILLISECONDS_A_DAY) << (8 * _HASH_BYTES))


def minute_of_key(key: uuid.UUID) -> int:
    return (key.int >> (8 * _HASH_BYTES)) // MILLISECONDS_A_MINUTE


def day_of_key(key: uuid.UUID) -> int:
    return (key.int >> (8 * _HASH_BYTES)) // MILLISECONDS_A_DAY
