"""Tells the records of a name from those of a wildcard, which answers for every name that has none."""

from dnschecks.resolver import Answer, Resolver

# Parents of a name whose wildcards are asked for.
_MOST_PARENTS = 5


def is_of_wildcard(answer: Answer, resolver: Resolver) -> bool:
    """Whether the records, or the CNAME that led to them, are a wildcard's: whatever is published at the name replaces them."""
    labels = answer.name.split(".")
    for at in range(1, min(len(labels) - 1, _MOST_PARENTS + 1)):
        wild = resolver.ask(".".join(["*", *labels[at:]]), answer.rdtype)
        if wild.alias or wild.records:
            return wild.alias == answer.alias and set(wild.records) == set(answer.records)
    return False
