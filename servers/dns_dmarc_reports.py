"""Says which report addresses of a DMARC record get none: another domain must say that it takes them (RFC 7489, 7.1)."""

from urllib.parse import urlsplit

from dnschecks import dmarc
from dnschecks.resolver import Resolver
from servers.dns_phrases import listed

# Domains of one record that are asked.
_MOST_ASKED = 5


def unsent(name: str, policy: dmarc.Policy, resolver: Resolver) -> str:
    """Return a sentence about the domains that do not take reports of this one; "" if there are none, or none is known."""
    others = [host for host in dict.fromkeys(map(_host, policy.rua)) if host and not _is_same_owners(host, name)]
    lacking = [host for host in others[:_MOST_ASKED] if _takes_none(host, name, resolver)]
    if not lacking:
        return ""
    where = listed(f"{name}._report._dmarc.{host}" for host in lacking)
    return (
        f"Receivers send no reports to {listed(lacking)}, because there is no record that they are wanted there. Have its "
        f"owner publish the TXT record “v=DMARC1” at {where}, or use another address (“rua=”)."
    )


def _host(uri: str) -> str:
    parts = urlsplit(uri)
    return parts.path.rpartition("@")[2].lower().removesuffix(".") if parts.scheme.lower() == "mailto" else ""


def _is_same_owners(host: str, name: str) -> bool:
    """Whether both may be of one organizational domain, which needs no such record. Some public suffixes have two labels."""
    return host.split(".")[-2:] == name.split(".")[-2:]


def _takes_none(host: str, name: str, resolver: Resolver) -> bool:
    answer = resolver.ask(f"{name}._report._dmarc.{host}", "TXT")
    return not answer.is_failure and not any(map(dmarc.is_record, answer.texts))
