"""The dialect's router: PUT without PATCH, no trailing slash, integer ids, rules nested under their owners."""

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.urls import register_converter
from rest_framework.routers import DynamicRoute, Route, SimpleRouter
from rest_framework.viewsets import ViewSetMixin

from core.references import whole_id


class IdConverter:
    """A number that a record may have; any other is no URL of ours."""

    regex = "[0-9]{1,19}"

    def to_python(self, value: str) -> int:
        """Return the id; ValueError means that the URL does not match."""
        found = whole_id(value)
        if found is None:
            raise ValueError(value)
        return found

    to_url = staticmethod(str)


register_converter(IdConverter, "record_id")


class GreenArrowRouter(SimpleRouter):
    """One collection and its members for each resource; a viewset's `lookup_url_kwarg` names the member's id."""

    routes = [
        Route("{prefix}", {"get": "list", "post": "create"}, "ga-{basename}", detail=False, initkwargs={}),
        DynamicRoute("{prefix}/{url_path}", "ga-{basename}-{url_name}", detail=False, initkwargs={}),
        Route(
            "{prefix}/{lookup}",
            {"get": "retrieve", "put": "update", "delete": "destroy"},
            "ga-{basename}-detail",
            detail=True,
            initkwargs={},
        ),
        DynamicRoute("{prefix}/{lookup}/{url_path}", "ga-{basename}-{url_name}", detail=True, initkwargs={}),
    ]

    def __init__(self) -> None:
        super().__init__(trailing_slash=False, use_regex_path=False)

    def add(self, prefix: str, viewset: type[ViewSetMixin], **kwargs: Any) -> None:
        """Register a resource; its name is the prefix without the ids in it."""
        self._require_declarations(viewset)
        name = "-".join(part for part in prefix.split("/") if not part.startswith("<"))
        self.register(prefix, viewset, basename=name.replace("_", "-"), **kwargs)

    def _require_declarations(self, viewset: Any) -> None:
        """Raise ImproperlyConfigured where a viewset does not declare what an action takes or answers."""
        for route in self.get_routes(viewset):
            for verb, action in self.get_method_map(viewset, route.mapping).items():
                if action not in viewset.answers:
                    raise ImproperlyConfigured(f"{viewset.__name__}.answers does not declare what {action!r} answers")
                if verb in ("post", "put") and action not in viewset.bodies:
                    raise ImproperlyConfigured(f"{viewset.__name__}.bodies does not declare the body of {action!r}")
