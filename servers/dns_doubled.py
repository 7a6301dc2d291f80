"""Finds records that were published at a name with the domain twice: DNS hosts append the domain to what is entered."""

from collections.abc import Callable

from dnschecks.resolver import Answer, Resolver
from dnschecks.wildcards import is_of_wildcard


def doubled(
    name: str, domain: str, resolver: Resolver, is_meant: Callable[[Answer], bool], *, rdtype: str = "TXT"
) -> str:
    """Return a sentence, with a blank after it, about the record that was meant for the name; "" where there is none.

    `is_meant` says it of the answer. A wildcard of the domain answers for every name below it.
    """
    twice = f"{name}.{domain}"
    answer = resolver.ask(twice, rdtype)
    if not answer.records or not is_meant(answer) or is_of_wildcard(answer, resolver):
        return ""
    if name == domain:
        how = "enter the name as “@”, or leave it empty"
    else:
        how = f"enter the name as “{name.removesuffix(f'.{domain}')}”"
    return f"There is one at {twice}: the DNS host appends the domain, so {how}. "


def with_text(is_meant: Callable[[str], bool]) -> Callable[[Answer], bool]:
    """Return whether one of an answer's TXT records is what `is_meant` says, as a function of the answer."""
    return lambda answer: any(map(is_meant, answer.texts))
