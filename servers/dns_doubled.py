"""Finds records that were published at a name with the domain twice: DNS hosts append the domain to what is entered."""

from dnschecks.resolver import Resolver


def doubled(name: str, domain: str, rdtype: str, resolver: Resolver) -> str:
    """Return a sentence, with a blank after it, about the record that was meant for the name; "" where there is none."""
    twice = f"{name}.{domain}"
    if not resolver.ask(twice, rdtype).records:
        return ""
    short = name.removesuffix(f".{domain}")
    return f"There is one at {twice}: the DNS host appends the domain, so enter the name as “{short}”. "
