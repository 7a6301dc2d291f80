"""Limits of a search: each word is a condition of the query, and a URL has room for more than a query should have."""

from core.texts import is_storable

LONGEST = 200
MOST_WORDS = 10


def is_searchable(text: str) -> bool:
    """Whether a text is short enough to look for, and one that a column could hold. Nothing is found by any other."""
    return len(text) <= LONGEST and len(text.split()) <= MOST_WORDS and is_storable(text)
