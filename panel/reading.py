"""Which pages of the panel read from a replica of the database: lists, their files, and statistics."""

import re
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse

from core import replica

# Not the pages of records: what their forms begin with must be what is stored.
_READ_THERE = re.compile(
    r"index|search|usage|usage_file|explorer|explorer_file|refused"
    r"|\w+_(changelist|list_export|export|export_rules|neighbours|usage|days)"
)


class FromReplica:
    """Middleware, the last of all: everything before it, such as who is signed in, is read from the primary."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> HttpResponse | None:
        """Show the page, its template included, by what the replica has."""
        match = request.resolver_match
        if match is None or match.app_name != "admin" or request.method != "GET":
            return None
        if not _READ_THERE.fullmatch(match.url_name or "") or not request.user.is_authenticated:
            return None
        return replica.read(lambda: _rendered(view(request, *args, **kwargs)))


def _rendered(response: HttpResponse) -> HttpResponse:
    render = getattr(response, "render", None)
    return render() if callable(render) else response
