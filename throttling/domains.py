"""Domain patterns of throttling rules: syntax, and which patterns match a domain.

A pattern is a domain name with an optional prefix: ``web.example.com`` is that domain alone, ``*.web.example.com`` its
subdomains without itself, ``[*.]web.example.com`` both. Everything here is text in, text out.
"""

import re
from collections.abc import Iterator

import idna

ITSELF_AND_SUBDOMAINS = "[*.]"
SUBDOMAINS = "*."
PREFIXES = (ITSELF_AND_SUBDOMAINS, SUBDOMAINS)

MAX_DOMAIN_LENGTH = 253
MAX_PATTERN_LENGTH = MAX_DOMAIN_LENGTH + len(ITSELF_AND_SUBDOMAINS)
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)


class NotADomain(ValueError):
    """The text is not a domain name, or not a pattern over one."""


def domain_name(text: str) -> str:
    """Return the domain as stored and compared: lower-case A-labels, without the root's trailing dot.

    Internationalised names are mapped as browsers map them (UTS 46, non-transitional). Raises NotADomain.
    """
    if len(text) > MAX_DOMAIN_LENGTH + 1:  # Also bounds the work that idna does on a hostile name.
        raise NotADomain(text)
    if text.isascii():
        name = text.lower()
    else:
        try:
            name = idna.encode(text, uts46=True).decode("ascii").lower()
        except UnicodeError as error:
            raise NotADomain(text) from error
    name = name.removesuffix(".")
    labels = name.split(".")
    if len(name) > MAX_DOMAIN_LENGTH or not all(_LABEL.fullmatch(label) for label in labels):
        raise NotADomain(text)
    # An IPv4 address is no domain name, in whatever base (`0x7f000001`), and no top-level domain is a number (RFC 3696, 2).
    if _NUMBER.fullmatch(labels[-1]):
        raise NotADomain(text)
    return name


def pattern(text: str) -> str:
    """Return the pattern as stored and compared: its prefix, and its domain as `domain_name` gives it.

    Raises NotADomain.
    """
    for prefix in PREFIXES:
        if text.startswith(prefix):
            return prefix + domain_name(text[len(prefix) :])
    return domain_name(text)


def patterns_matching(domain: str) -> Iterator[str]:
    """Yield every pattern that matches the (normalized) domain, in the order of evaluation.

    The nearer name goes first. For one name, `*.` goes before `[*.]`; for the domain itself, its plain name goes first.
    """
    yield domain
    yield ITSELF_AND_SUBDOMAINS + domain
    parent = domain
    while "." in parent:
        parent = parent.split(".", 1)[1]
        yield SUBDOMAINS + parent
        yield ITSELF_AND_SUBDOMAINS + parent
