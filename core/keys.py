"""Keys and tokens that programs present.

They are long and random, so a plain SHA-256 finds them in a unique column: no salt, no slow hash. The first six characters
stay readable, for search and display.
"""

import hashlib
import secrets
import string

_ALPHABET = string.ascii_letters + string.digits
KEY_LENGTH = 32
PREFIX_LENGTH = 6
DIGEST_LENGTH = 64


def make_key() -> str:
    """Return a new key: 32 letters and digits, 190 bits."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(KEY_LENGTH))


def digest(key: str) -> str:
    """Return the SHA-256 by which a key is found, as 64 hexadecimal digits; any text is fine, lone surrogates too."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def prefix(key: str) -> str:
    """Return the part of a key that may be shown."""
    return key[:PREFIX_LENGTH]
