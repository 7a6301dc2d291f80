"""Addresses of the panel's pages that a condition points to."""

from django.contrib.admin.utils import quote
from django.urls import reverse


def change_url(model: str, pk: int) -> str:
    """Return the URL of a record's change page; `model` is `app.model`."""
    return reverse(f"admin:{model.replace('.', '_')}_change", args=[quote(pk)])


def slug(name: str) -> str:
    """Return the anchor of a provider's row on an address's page."""
    return "provider-" + "-".join("".join(sign if sign.isalnum() else " " for sign in name.lower()).split())
