"""Postal's router: the action is in the path (`servers/update-mode`), and accepts several HTTP methods."""

from typing import Any, cast

from django.urls import URLPattern, path
from rest_framework.routers import BaseRouter


class PostalRouter(BaseRouter):
    """Routes the actions of viewsets, and nothing else; one whose path is "/" is the resource itself."""

    def get_default_basename(self, viewset: Any) -> str:
        """Return the name by which the resource's URLs begin."""
        return str(viewset.tag.rpartition(": ")[2].lower().replace(" ", "-"))

    def get_urls(self) -> Any:
        """Return a URL for each action, with those that have a part in their path last."""
        urls: list[URLPattern] = []
        for prefix, viewset, basename in self.registry:
            for each in cast(Any, viewset.get_extra_actions()):
                view = viewset.as_view(dict(each.mapping), basename=basename, **each.kwargs)
                routes = [f"{prefix}/{tail}".rstrip("/") for tail in each.url_path.split("|")]
                urls += [path(route, view, name=f"{basename}-{each.url_name}") for route in routes]
        return urls
