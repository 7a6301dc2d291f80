"""Addresses of suppressed recipients: normalized, and masked. No database."""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

from core.errors import Fault, Invalid
from core.names import without_invisible
from core.texts import is_storable
from throttling.domains import NotADomain, domain_name

MAX_LENGTH = 320
# As in events: RFC 5321, 4.5.3.1.1.
MAX_LOCAL_LENGTH = 64

# What one act or question takes. Characters of domains that are not ASCII are converted one by one: 1,000 of the longest would
# take four seconds.
MOST_AT_ONCE = 1_000
MOST_INTERNATIONAL = 20_000
TOO_MANY = Fault("addresses", f"must be at most {MOST_AT_ONCE:,}")
TOO_INTERNATIONAL = Fault(
    "addresses", f"must not have more than {MOST_INTERNATIONAL:,} characters in domains that are not ASCII"
)

_LINK = "mailto:"
# What stands between several addresses and around one; of a mailbox's name it can be a part in quotes alone (RFC 5321, 4.1.2).
_SPECIAL = re.compile(r'[][()<>:;,@\\"]')


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
    name = _domain(domain)
    if name is None:
        raise NotAnAddress(text)
    return f"{local}@{name}"


def entered(text: str) -> str:
    """Return the address of a new entry, normalized; raises NotAnAddress, also for several in one text.

    Events and questions name the recipient of one message, whatever is in it. What is entered is written by people and by their
    programs: “ann@example.com,bob@example.com” would be one recipient that nobody has.
    """
    address = normalized(text)
    local = address.rpartition("@")[0]
    is_quoted = len(local) > 2 and local[0] == local[-1] == '"'
    # An apostrophe before it is the sign of spreadsheets for text.
    if not is_quoted and (_SPECIAL.search(local) or local[0] == "'"):
        raise NotAnAddress(text)
    return address


def pasted(text: str) -> str:
    """Return a pasted address without the characters that are not shown, and without the scheme of a link."""
    text = without_invisible(text).strip()
    # Spreadsheets and mail programs make links of addresses, and some keep the scheme.
    return text[len(_LINK) :] if text[: len(_LINK)].lower() == _LINK else text


# A list has far fewer domains than addresses.
@lru_cache(10_000)
def _domain(text: str) -> str | None:
    try:
        return domain_name(text)
    except NotADomain:
        return None


def refuse_too_many(addresses: Sequence[str]) -> None:
    """Raise Invalid where addresses are more than one act or question takes, or take too long to read."""
    domains = {domain[:MAX_LENGTH] for text in addresses if not (domain := text.rpartition("@")[2]).isascii()}
    if len(addresses) > MOST_AT_ONCE:
        raise Invalid(TOO_MANY)
    if sum(map(len, domains)) > MOST_INTERNATIONAL:
        raise Invalid(TOO_INTERNATIONAL)


def masked(address: str) -> str:
    """Return a normalized address as it is shown: the first and last character of its local part, and its domain.

    Of a local part of one or two characters the first alone: `r…@gmail.com`.
    """
    local, _, domain = address.rpartition("@")
    return f"{local[0]}…{local[-1] if len(local) > 2 else ''}@{domain}"
