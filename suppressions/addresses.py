"""Addresses of suppressed recipients: normalized, and masked. No database."""

import unicodedata

from core.texts import is_storable
from throttling.domains import NotADomain, domain_name

MAX_LENGTH = 320
# As in events: RFC 5321, 4.5.3.1.1.
MAX_LOCAL_LENGTH = 64


class NotAnAddress(ValueError):
    """The text is not `local@domain`."""


def normalized(text: str) -> str:
    """Return the address as it is compared: the local part in lower case, the domain as a lower-case A-label.

    A `+tag` stays: with and without it are two addresses. RFC 5321 lets receivers distinguish upper and lower case in a local
    part; in practice they do not. Raises NotAnAddress.
    """
    text = text.strip()
    if text[:1] == "<" and text[-1:] == ">":
        text = text[1:-1]
    if len(text) > MAX_LENGTH:
        raise NotAnAddress(text)
    local, at, domain = text.rpartition("@")
    # Composed, so that a letter with its accent is one text; in lower case, as the agent of a node does it as well.
    local = unicodedata.normalize("NFC", local).lower()
    is_readable = 0 < len(local) <= MAX_LOCAL_LENGTH and local.isprintable() and is_storable(local) and " " not in local
    if not at or not is_readable:
        raise NotAnAddress(text)
    try:
        return f"{local}@{domain_name(domain)}"
    except NotADomain:
        raise NotAnAddress(text) from None


def masked(address: str) -> str:
    """Return a normalized address as it is shown: the first and last character of its local part, and its domain.

    Of a local part of one or two characters the first alone: `r…@gmail.com`.
    """
    local, _, domain = address.rpartition("@")
    return f"{local[0]}…{local[-1] if len(local) > 2 else ''}@{domain}"
