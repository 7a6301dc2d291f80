"""The base of the mixins that the panel's site is made of: each adds pages of its own to Django's."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.urls import URLPattern, URLResolver


class SiteMixin:
    """What the mixins use of the site. In PanelSite this class comes after all of them, and before unfold's."""

    admin_view: Any
    logout: Any
    must_set_up: Callable[[HttpRequest], bool]
    second_factor: Any
    leave_organization: Any
    provider_offer: Callable[[HttpRequest], dict[str, str] | None]
    has_permission: Callable[[HttpRequest], bool]
    each_context: Callable[[HttpRequest], dict[str, Any]]
    name: str
    _registry: Any

    def get_urls(self) -> list[URLResolver | URLPattern]:
        # Of unfold's site.
        urls: list[URLResolver | URLPattern] = super().get_urls()  # type: ignore[misc]
        return urls
