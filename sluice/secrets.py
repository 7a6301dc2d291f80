"""`sluice secrets`: the secrets of a new installation, without settings: nothing of Sluice starts before it has them."""

import base64
import secrets
from collections.abc import Iterator

# Read by compose.yaml, which makes the servers with them.
_PASSWORDS = ("POSTGRES_PASSWORD", "VALKEY_PASSWORD")


def new_secrets() -> Iterator[str]:
    """Yield lines of an environment file (systemd, compose, `kubectl create secret --from-env-file`), new at every call."""
    yield f"SECRET_KEY={secrets.token_urlsafe(48)}"
    # A Fernet key. Keep a copy apart from the backups: it opens the secrets in the database.
    yield f"SLUICE_ENCRYPTION_KEYS={base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()}"
    for name in _PASSWORDS:
        # Hexadecimal: it stands in URLs.
        yield f"{name}={secrets.token_hex(24)}"
