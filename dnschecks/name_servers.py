"""Parses the entries of SLUICE_DNS_SERVERS."""

import ipaddress

DNS_PORT = 53


class BadServer(ValueError):
    """The text is not `address` or `address:port`."""


def server_of(text: str) -> tuple[str, int]:
    """Return address and port of `192.0.2.1`, `192.0.2.1:5353`, `2001:db8::1` or `[2001:db8::1]:5353`; raises BadServer."""
    text = text.strip()
    host, port = text, ""
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        port = port.removeprefix(":")
    elif text.count(":") == 1:
        host, port = text.split(":")
    try:
        address = str(ipaddress.ip_address(host))
    except ValueError:
        raise BadServer(f"{text} is not the address of a DNS server (such as 192.0.2.53 or 192.0.2.53:5353)") from None
    if not port:
        return address, DNS_PORT
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise BadServer(f"{text} has no valid port")
    return address, int(port)
