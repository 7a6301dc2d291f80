"""Addresses of the panel's pages that a condition points to."""

from functools import cache, lru_cache

from django.urls import reverse


def change_url(model: str, pk: int) -> str:
    """Return the URL of a record's change page; `model` is `app.model`."""
    before, after = _around_id(model)
    return f"{before}{pk}{after}"


@cache
def _around_id(model: str) -> tuple[str, str]:
    # Once a model: the front page has more than a hundred such URLs, and reversing them all took a tenth of its time.
    before, _, after = reverse(f"admin:{model.replace('.', '_')}_change", args=[0]).rpartition("0")
    return before, after


@lru_cache(maxsize=1_000)
def slug(name: str) -> str:
    """Return the anchor of a provider's row on an address's page."""
    return "provider-" + "-".join("".join(sign if sign.isalnum() else " " for sign in name.lower()).split())
