"""Every address of the panel, found in its URL configuration: a page joins the tests by being there."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from panel.apps import load_pages


@dataclass(frozen=True)
class Address:
    """One pattern of the panel; `model` is the label of the model whose page it is, None for the site's own."""

    name: str
    model: str | None
    # Whether the address names one record.
    has_record: bool

    def __str__(self) -> str:
        return self.name


def addresses() -> list[Address]:
    """Return every named address under /admin/."""
    load_pages()
    labels = {
        f"{model._meta.app_label}_{model._meta.model_name}": model._meta.label_lower for model in admin.site._registry
    }
    found = {}
    for pattern in _patterns(get_resolver().url_patterns, in_admin=False):
        if pattern.name is None:
            continue
        prefix = next((each for each in labels if pattern.name.startswith(f"{each}_")), None)
        keys = set(pattern.pattern.regex.groupindex) | set(getattr(pattern.pattern, "converters", {}))
        found[pattern.name] = Address(pattern.name, labels.get(prefix or ""), bool(keys & {"object_id", "id"}))
    return sorted(found.values(), key=lambda each: each.name)


def _patterns(patterns: list[URLPattern | URLResolver], *, in_admin: bool) -> Iterator[URLPattern]:
    for each in patterns:
        if isinstance(each, URLResolver):
            yield from _patterns(each.url_patterns, in_admin=in_admin or each.namespace == "admin")
        elif in_admin:
            yield each


# What a page is asked for, where it says nothing without.
ASKED = {"search": {"s": "more"}, "ippools_ipaddress_limits": {"domain": "gmail.com"}}
# A link that is no longer valid; a valid one has tests of its own.
ARGUMENTS = {"password_reset_confirm": ["MQ", "used-token"], "invitation": ["used-token"], "confirm_address": ["old"]}
AUTOCOMPLETE = {"app_label": "servers", "model_name": "credential", "field_name": "server", "term": ""}
# Django's redirect to a record's own site, which no record has.
NO_PAGES = ("view_on_site",)


def looks(record_of: Callable[[str], Any]) -> dict[str, str]:
    """Return the path of every page to look at, by name; `record_of` gives the record of a model's label that is shown.

    Dialogs are among them, and files: everything that answers a GET.
    """
    found = {}
    for place in addresses():
        if place.name in NO_PAGES:
            continue
        if place.name == "app_list":
            path = reverse("admin:app_list", kwargs={"app_label": "servers"})
        else:
            record = record_of(str(place.model)) if place.has_record else None
            assert record or not place.has_record, f"make a {place.model} in `platform` of tests/panel/conftest.py"
            args = [record.pk] if record else ARGUMENTS.get(place.name, [])
            path = reverse(f"admin:{place.name}", args=args)
        asked = AUTOCOMPLETE if place.name == "autocomplete" else ASKED.get(place.name)
        found[place.name] = f"{path}?{urlencode(asked)}" if asked else path
    return found
