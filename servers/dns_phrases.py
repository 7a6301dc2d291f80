"""Phrases of the sentences that say what to change in DNS."""

from collections.abc import Iterable

from dnschecks.quoting import cut
from dnschecks.resolver import Answer, Outcome

# Addresses that a sentence names before it says how many more there are.
NAMED = 5


def why_none(answer: Answer, what: str) -> str:
    """Return why there is no record."""
    match answer.outcome:
        case Outcome.NO_NAME if answer.alias:
            return f"{answer.name} is a CNAME to {answer.alias}, and that leads to no name that exists."
        case Outcome.NO_NAME:
            return f"The name {answer.name} does not exist."
        case Outcome.CNAME_LOOP:
            return f"The CNAMEs of {answer.name} form a loop."
        case _:
            return f"There is no {what} at {answer.name}."


def listed(names: Iterable[str]) -> str:
    """Return names as one phrase, the first few and how many more there are."""
    names = list(names)
    if len(names) > NAMED:
        return f"{', '.join(names[:NAMED])} and {len(names) - NAMED} more"
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def shown(text: str) -> str:
    """Return a text from DNS, cut short."""
    return cut(text, 300)
