"""What may be searched for. Each word is a condition of the query, and Django takes as many as an address has room for."""

from core.texts import is_storable

LONGEST = 200
MOST_WORDS = 10


def is_searchable(text: str) -> bool:
    """Whether a text is short enough to look for, and one that a column could hold. Nothing is found by any other."""
    return len(text) <= LONGEST and len(text.split()) <= MOST_WORDS and is_storable(text)
