"""Every address of the panel, found in its URL configuration: a page joins the tests by being there."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.contrib import admin
from django.urls import URLPattern, URLResolver, get_resolver

# unfold and Django have these for every site; they show no records.
SITE_PAGES = ("index", "search", "password_change", "password_change_done", "autocomplete", "jsi18n", "app_list")


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
