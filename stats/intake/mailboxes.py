"""Parses mailbox addresses in events."""

from functools import lru_cache

from stats.intake.effort import spend_on_domain
from throttling.domains import MAX_DOMAIN_LENGTH, NotADomain, domain_name

MAX_LENGTH = 320
_MAX_LOCAL_LENGTH = 64


class NotAMailbox(ValueError):
    """The text is not `local@domain`."""


def parse(text: str) -> tuple[str, str]:
    """Return the mailbox in lower case with its domain as a lower-case A-label, and that domain alone.

    Raises NotAMailbox. A name beside the address, as in a From header, is not taken off: events carry the envelope's.
    """
    local, at, domain = text.rpartition("@")
    # Measured in lower case, which may be longer: that of İ is two characters.
    local = local.lower()
    # Not printable: control characters, which PostgreSQL may refuse, and lone surrogates, which cannot be encoded.
    if not at or not 0 < len(local) <= _MAX_LOCAL_LENGTH or not local.isprintable() or " " in local:
        raise NotAMailbox(text)
    name = domain_of(domain)
    if name is None:
        raise NotAMailbox(text)
    return f"{local}@{name}", name


def domain_of(text: str) -> str | None:
    """Return the domain as a lower-case A-label, or None if it is invalid."""
    # What is longer is not even remembered: the memory of it would have no bound.
    return _domain_of(text) if len(text) <= MAX_DOMAIN_LENGTH + 1 else None


# A platform's mail has far fewer domains than mailboxes, and what a text means depends on nothing else.
@lru_cache(50_000)
def _domain_of(text: str) -> str | None:
    if not text.isascii():
        spend_on_domain(text)
    try:
        return domain_name(text)
    except NotADomain:
        return None
