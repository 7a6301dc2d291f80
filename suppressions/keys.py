"""Digests of addresses under keys that the platform's key gives each organization.

An organization's key is derived: equal addresses of two organizations have different digests, and a node knows only the keys of
those organizations whose mail it sends.
"""

import base64
import datetime
import hashlib
import hmac
import secrets
import uuid
from typing import Self

from core.encryption import decrypt, encrypt
from suppressions.models import PlatformKey

_LENGTH = 32


class Keys:
    """The platform's key, read once for some work."""

    def __init__(self, row: PlatformKey) -> None:
        self._secret = base64.b64decode(decrypt(row.secret))
        self._of: dict[uuid.UUID, bytes] = {}

    @classmethod
    def ensured(cls, *, at: datetime.datetime) -> Self:
        """Return the key, made at its first use: of several callers at once one makes it."""
        row = PlatformKey.objects.filter(pk=1).first()
        if row is None:
            secret = encrypt(base64.b64encode(secrets.token_bytes(_LENGTH)).decode())
            PlatformKey.objects.bulk_create([PlatformKey(secret=secret, created_at=at)], ignore_conflicts=True)
            row = PlatformKey.objects.get(pk=1)
        return cls(row)

    @classmethod
    def known(cls) -> Self | None:
        """Return the key; None: nothing was ever suppressed."""
        row = PlatformKey.objects.filter(pk=1).first()
        return None if row is None else cls(row)

    def key_of(self, organization: uuid.UUID) -> bytes:
        """Return an organization's key, by its UUID: 32 bytes."""
        found = self._of.get(organization)
        if found is None:
            found = hmac.digest(self._secret, b"organization:" + organization.bytes, hashlib.sha256)
            self._of[organization] = found
        return found

    def digest(self, organization: uuid.UUID, address: str) -> str:
        """Return the digest of a normalized address, as 64 hexadecimal digits."""
        return hmac.digest(self.key_of(organization), address.encode(), hashlib.sha256).hex()
