"""Issues and finds the keys of programs, and records their use, for every subclass of `core.models.key.Key`.

They are long and random, so a plain SHA-256 finds them in a unique column: no salt, no slow hash. The first six characters
stay readable, for search and display.
"""

import datetime
import hashlib
import secrets
import string
from typing import TYPE_CHECKING, Protocol

from django.db import connections, router
from django.db.models import Q

from core.locks import not_waiting_for_writers

if TYPE_CHECKING:
    from core.models.key import Key, KeyQuerySet

_ALPHABET = string.ascii_letters + string.digits
KEY_LENGTH = 32
PREFIX_LENGTH = 6
DIGEST_LENGTH = 64
# How old `last_used_at` must be before a use is written again.
LAST_USED_RESOLUTION = datetime.timedelta(minutes=1)


class UsedKey(Protocol):
    """The columns that `touch_last_used` needs: of a Key, or of a row with these columns."""

    @property
    def pk(self) -> int: ...
    @property
    def last_used_at(self) -> datetime.datetime | None: ...
    @property
    def key_model(self) -> "type[Key]": ...


def make_key() -> str:
    """Return a new key: 32 letters and digits, 190 bits."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(KEY_LENGTH))


def digest(key: str) -> str:
    """Return the SHA-256 by which a key is found, as 64 hexadecimal digits; accepts any text, also lone surrogates."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def prefix(key: str) -> str:
    """Return the part of a key that can be shown."""
    return key[:PREFIX_LENGTH]


def issue(record: "Key") -> str:
    """Set a new key on the record, and return it: the record has only its digest. The caller saves the record."""
    key = make_key()
    record.key_prefix, record.key_digest = prefix(key), digest(key)
    return key


def find[K: "Key"](keys: "KeyQuerySet[K]", key: str, *, at: datetime.datetime) -> K | None:
    """Return the usable record with this key, by one query; accepts any text."""
    return keys.usable(at).filter(key_digest=digest(key)).first()


def touch_last_used(used: UsedKey, *, at: datetime.datetime) -> bool:
    """Save the time of use of a key, at most once a minute, and return whether it was saved.

    Call it outside the request's transaction. It never waits: while another transaction has locked the row, or on SQLite
    writes at all, the use is not written. The next request will write one.
    """
    latest, ahead = at - LAST_USED_RESOLUTION, at + LAST_USED_RESOLUTION
    # A use in the future is that of a clock that was ahead.
    if used.last_used_at is not None and latest < used.last_used_at <= ahead:
        return False
    model = used.key_model
    connection = connections[router.db_for_write(model)]
    if connection.vendor == "postgresql":
        table, column, pk = (
            connection.ops.quote_name(name)
            for name in (model._meta.db_table, "last_used_at", str(model._meta.pk.column))
        )
        # The ORM has no SKIP LOCKED in the condition of an UPDATE.
        with connection.cursor() as cursor:
            cursor.execute(
                f"UPDATE {table} SET {column} = %s WHERE {pk} = (SELECT {pk} FROM {table} WHERE {pk} = %s"  # noqa: S608 - names of ours
                f" AND ({column} IS NULL OR {column} <= %s OR {column} > %s) FOR NO KEY UPDATE SKIP LOCKED)",
                [at, used.pk, latest, ahead],
            )
            return bool(cursor.rowcount)
    stale = Q(last_used_at=None) | Q(last_used_at__lte=latest) | Q(last_used_at__gt=ahead)
    written = 0
    with not_waiting_for_writers(connection):
        written += model._base_manager.filter(stale, pk=used.pk).update(last_used_at=at)
    return bool(written)
