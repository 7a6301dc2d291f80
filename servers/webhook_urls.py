"""The URLs that webhooks are called at, taken apart."""

import ipaddress
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from core.texts import is_storable
from throttling.domains import NotADomain, domain_name

LONGEST = 2000
_PORTS = {"http": 80, "https": 443}
# What a path or query may hold as it is; a percent sign stands before what is escaped already.
_SAFE = "!$%&'()*+,/:;=?@[]~"


class BadURL(ValueError):
    """The text is not a URL that can be called; the message ends a sentence that begins with "url"."""


@dataclass(frozen=True, slots=True)
class CallURL:
    """Where a request goes. `host` is a name as an A-label, or an address; `target` is the path with its query."""

    is_secure: bool
    host: str
    # Whether `host` is an address.
    is_address: bool
    port: int
    target: str


def parse(text: str) -> CallURL:
    """Return the parts of a URL; raises BadURL.

    Names must be domain names: `127.1` and `0x7f.1`, which some resolvers take for addresses, are neither.
    """
    wrong = BadURL("must be an address that begins with https:// or http://")
    if len(text) > LONGEST or not is_storable(text):
        raise wrong
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise wrong from None
    if parts.scheme not in _PORTS or not host or port == 0:
        raise wrong
    if "@" in parts.netloc:
        raise BadURL("must not contain a user name or password")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    if address is not None:
        host = str(address)
    else:
        try:
            host = domain_name(host)
        except NotADomain:
            raise BadURL("must have a domain name or an IP address as its host") from None
    target = quote(parts.path or "/", safe=_SAFE)
    if parts.query:
        target += "?" + quote(parts.query, safe=_SAFE)
    return CallURL(parts.scheme == "https", host, address is not None, port or _PORTS[parts.scheme], target)
