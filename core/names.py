"""Case-insensitive names, with the same rules on every database.

Databases fold differently (`lower('É')`) and `iexact` uses no index, so a name that is unique regardless of case carries its
folded form in a column of its own. Look-ups compare that: `filter(name_key=fold(text))`.
"""

import re
import unicodedata
from typing import Any

from django.db import models

_NO_SLUG = re.compile(r"[^a-z0-9]+")
# Default_Ignorable_Code_Point (Unicode 5.21), which NFKC_Casefold drops: what is not shown where it is not understood. The
# property's list is closed: code points that Unicode assigns later come from the reserved ones in it. tests/core/test_names.py
# derives it from the data of the standard library.
_IGNORABLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0"
    "\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_IGNORABLES = re.compile(f"[{_IGNORABLE}]+")
# Shown as a blank everywhere, though it is a symbol for Unicode (a Braille cell without dots).
BRAILLE_BLANK = "\u2800"
# A page shows them as one.
_BLANKS = re.compile(" {2,}")

PERMALINK_LENGTH = 63


def fold(text: str) -> str:
    """Return the form in which names that look equal are equal: NFKC_Casefold (Unicode 3.13).

    Characters that are not shown (zero-width spaces, byte order marks, soft hyphens) do not count, nor do blanks that only they
    separate from the name's beginning or end, nor blanks of Braille there. Several blanks are one.
    """
    return _BLANKS.sub(" ", _folded(text))


def _folded(text: str) -> str:
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    seen = without_invisible(folded).replace(BRAILLE_BLANK, " ")
    # What stood on both sides of a dropped character may compose now.
    return folded if seen == folded else unicodedata.normalize("NFKC", seen.strip())


def without_invisible(text: str) -> str:
    """Return the text without invisible characters, which copying from a page can add."""
    return text if text.isascii() else _IGNORABLES.sub("", text)


def slugify(text: str, *, fallback: str) -> str:
    """Return an ASCII lower-case slug of at most 63 characters (a DNS label), or `fallback` if it would be empty."""
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return _NO_SLUG.sub("-", ascii_text).strip("-")[:PERMALINK_LENGTH].rstrip("-") or fallback


def numbered(slug: str, number: int, *, length: int = PERMALINK_LENGTH) -> str:
    """Return the slug itself for 1, else `slug-2`, `slug-3` …, truncated to `length`."""
    if number == 1:
        return slug
    tail = f"-{number}"
    return slug[: length - len(tail)].rstrip("-") + tail


class NameKeyField(models.CharField):  # type: ignore[type-arg]  # Django's fields take no arguments at run time.
    """The folded form of another field, filled on every save and bulk_create; never set by hand."""

    def __init__(self, *args: Any, source: str = "name", **kwargs: Any) -> None:
        self.source = source
        # NFKC and casefold can make text longer (U+FDFA becomes 18 characters), so the column has no narrow limit.
        kwargs.setdefault("max_length", 4000)
        kwargs["editable"] = False
        super().__init__(*args, **kwargs)

    def deconstruct(self) -> Any:
        name, path, args, kwargs = super().deconstruct()
        del kwargs["editable"]
        if self.source != "name":
            kwargs["source"] = self.source
        return name, path, args, kwargs

    def pre_save(self, model_instance: models.Model, add: bool) -> str:  # noqa: FBT001 - Django's signature
        key = fold(getattr(model_instance, self.source))
        setattr(model_instance, self.attname, key)
        return key
