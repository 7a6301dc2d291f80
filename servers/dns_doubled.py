"""Finds records that were published at a name with the domain twice: DNS hosts append the domain to what is entered."""

from collections.abc import Callable

from dnschecks.resolver import Resolver


def doubled(name: str, domain: str, resolver: Resolver, *, text: Callable[[str], bool] | None = None) -> str:
    """Return a sentence, with a blank after it, about the record that was meant for the name; "" where there is none.

    It is a CNAME, or a TXT record for which `text` is true: a wildcard of the domain answers for every name below it.
    """
    twice = f"{name}.{domain}"
    answer = resolver.ask(twice, "CNAME" if text is None else "TXT")
    if not (answer.records if text is None else any(map(text, answer.texts))):
        return ""
    short = name.removesuffix(f".{domain}")
    return f"There is one at {twice}: the DNS host appends the domain, so enter the name as “{short}”. "
