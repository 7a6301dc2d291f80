"""Public keys of vendors, by which signatures are checked."""

import base64

from cryptography.hazmat.primitives import serialization

from stats.intake.sources.base import BadKey


def load(text: str, wanted: str) -> object:
    """Return the key of PEM, or of the base64 of DER, as DKIM records and SendGrid have it.

    Raises BadKey, with what is `wanted`, where the text is no public key.
    """
    try:
        if "-----BEGIN" in text:
            return serialization.load_pem_public_key(text.encode())
        return serialization.load_der_public_key(base64.b64decode("".join(text.split()), validate=True))
    except (ValueError, TypeError) as problem:
        raise BadKey(f"The key must be {wanted}, as PEM or base64") from problem
