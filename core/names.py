"""Names that are the same whatever their case, on every database.

Databases fold differently (`lower('É')`) and `iexact` uses no index, so a name that is unique regardless of case carries its
folded form in a column of its own. Look-ups compare that: `filter(name_key=fold(text))`.
"""

import re
import unicodedata
from typing import Any

from django.db import models

_NO_SLUG = re.compile(r"[^a-z0-9]+")

PERMALINK_LENGTH = 63


def fold(text: str) -> str:
    """Return the form in which two names that people read as equal are equal: NFKC and casefold (Unicode 3.13, D146)."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def slugify(text: str, *, fallback: str) -> str:
    """Return an ASCII lower-case slug of at most 63 characters (a DNS label), or `fallback` where nothing is left."""
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return _NO_SLUG.sub("-", ascii_text).strip("-")[:PERMALINK_LENGTH].rstrip("-") or fallback


def numbered(slug: str, number: int, *, length: int = PERMALINK_LENGTH) -> str:
    """Return the slug itself for 1, else `slug-2`, `slug-3` …, cut so that it stays within `length`."""
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

    def pre_save(self, model_instance: models.Model, add: bool) -> str:
        key = fold(getattr(model_instance, self.source))
        setattr(model_instance, self.attname, key)
        return key
