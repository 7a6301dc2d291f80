"""Cleans texts that users enter, or refuses them with a reason."""

import re
import unicodedata

from core.errors import Fault, Invalid
from core.names import BRAILLE_BLANK, without_invisible

NAME_LENGTH = 200
_SHOWN = 100
_UNSTORABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
# Of texts that others wrote, which may have several lines.
_LEFT_OUT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
# Blanks, line ends, and what formats text without being seen (a zero-width space).
_INVISIBLE = frozenset({"Zs", "Zl", "Zp", "Cf"})


def clean_name(text: str, *, field: str = "name", longest: int = NAME_LENGTH) -> str:
    """Return a stripped name; raises Invalid for an empty or invisible one, and as `clean_text` does."""
    text = clean_text(text, field=field, longest=longest)
    if not is_visible(text):
        raise Invalid(Fault(field, "is required"))
    return text


def clean_text(text: str, *, field: str, longest: int) -> str:
    """Return one stripped line of text, which can be empty.

    Raises Invalid where it is too long, or holds what no database stores alike: control characters (NUL), lone surrogates.
    """
    if not isinstance(text, str):
        raise Invalid(Fault(field, "must be a string"))
    text = text.strip()
    if not is_storable(text):
        raise Invalid(Fault(field, "must not contain control characters"))
    if len(text) > longest:
        raise Invalid(Fault(field, f"is too long (maximum is {longest} characters)"))
    return text


def sentence(text: str) -> str:
    """Return a sentence part ("has already been taken") as the beginning of a sentence."""
    text = text.strip()
    return text[:1].upper() + text[1:]


def is_storable(text: str) -> bool:
    """Return whether the text has neither control characters (PostgreSQL refuses NUL) nor lone surrogates.

    Those of C1 and the separators of lines and paragraphs count as such: no page shows them, so they make twins of names, and
    what splits lines splits there.
    """
    return _UNSTORABLE.search(text) is None


def storable_part(text: str) -> str:
    """Return a text of others without what no database stores, and without C0 controls except line ends and tabs."""
    return _LEFT_OUT.sub("", text)


def is_visible(text: str) -> bool:
    """Return whether the text shows anything: a list's link to a record with another name could not be clicked."""
    return any(
        unicodedata.category(char) not in _INVISIBLE for char in without_invisible(text).replace(BRAILLE_BLANK, "")
    )


def quoted(text: str) -> str:
    """Return untrusted text in quotes, fit for a sentence: short, and encodable."""
    shown = text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
    return '"' + shown.encode("utf-8", "replace").decode() + '"'


def counted(number: int, one: str, many: str) -> str:
    """Return a number with its noun."""
    return f"{number:,} {one if number == 1 else many}"
