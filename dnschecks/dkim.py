"""DKIM keys: generating key pairs, and parsing the published record (RFC 6376, 3.6.1)."""

import base64
import binascii
import re
from dataclasses import dataclass

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_public_key,
)

from dnschecks.quoting import cut

# RFC 8301, 3.2: signers should use at least 2048 bits; longer keys do not fit what DNS hosts take.
KEY_BITS = 2048
_TAG = re.compile(r"([A-Za-z][A-Za-z0-9_]*)[ \t\r\n]*=(.*)\Z", re.DOTALL)
_BLANKS = re.compile(r"[ \t\r\n]+")


class BadRecord(ValueError):
    """Verifiers cannot use the record; has the reason."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A private key as PEM (PKCS #8), and the `p=` of its record: base64 of the DER public key."""

    private_pem: str
    public: str


def make_key_pair() -> KeyPair:
    """Make an RSA key of 2048 bits. This takes some 100 ms: call it before a transaction begins."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return KeyPair(private.decode(), base64.b64encode(public).decode())


def record_for(public: str) -> str:
    """Return the TXT record that publishes a public key. `t=s`: it signs for the domain alone, not for subdomains."""
    return f"v=DKIM1; t=s; h=sha256; p={public}"


def looks_meant(text: str) -> bool:
    """Whether a text is meant as a DKIM record, valid or not."""
    return text.lower().startswith(("v=dkim1", "k=rsa", "p="))


def public_key_of(text: str) -> str:
    """Return the `p=` of a record, without the blanks that folding leaves; raises BadRecord where it can verify nothing.

    Tags that this platform's signatures (rsa-sha256, for e-mail) would fail by are refused with the reason.
    """
    tags = _tags(text)
    if tags.get("v", "DKIM1") != "DKIM1" or ("v" in tags and next(iter(tags)) != "v"):
        raise BadRecord("it does not begin with “v=DKIM1;”")
    if "p" not in tags:
        raise BadRecord("it has no key (p=)")
    if not tags["p"]:
        raise BadRecord("its key is revoked (p= is empty)")
    if tags.get("k", "rsa").lower() != "rsa":
        raise BadRecord(f"it says that its key is of type “{cut(tags['k'], 20)}”, not rsa")
    if "h" in tags and "sha256" not in tags["h"].lower().split(":"):
        raise BadRecord("it does not allow sha256 (h=)")
    if "s" in tags and not {"*", "email"} & set(tags["s"].lower().split(":")):
        raise BadRecord("it does not allow e-mail (s=)")
    return tags["p"]


def is_testing(text: str) -> bool:
    """Whether a record that can be used says that the domain is testing DKIM; raises BadRecord."""
    return "y" in _tags(text).get("t", "").lower().split(":")


def is_usable_key(public: str) -> bool:
    """Whether the text is base64 of an RSA public key at all; a key that was cut when it was pasted is not."""
    try:
        key = load_der_public_key(base64.b64decode(public, validate=True))
    except (ValueError, binascii.Error, UnsupportedAlgorithm):
        return False
    return isinstance(key, rsa.RSAPublicKey)


def _tags(text: str) -> dict[str, str]:
    tags: dict[str, str] = {}
    for part in text.split(";"):
        if not part.strip():
            continue
        match = _TAG.match(part.strip())
        if match is None:
            raise BadRecord(f"“{cut(part.strip(), 40)}” is not a tag=value pair")
        if match[1] in tags:
            raise BadRecord(f"“{match[1]}=” occurs twice")
        tags[match[1]] = _BLANKS.sub("", match[2])
    return tags
