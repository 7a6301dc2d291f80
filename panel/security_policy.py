"""What a page may load and run: nothing from outside, nothing inline.

Django 5.2 has no such header of its own. The admin's theme needs two exceptions, on the panel's pages only: Alpine evaluates
its attributes as expressions, and the theme's colours are an inline style.
"""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from panel.time_zone import PANEL

_COMMON = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'self'"
)
STRICT = f"{_COMMON}; script-src 'self'; style-src 'self'"
THEME = f"{_COMMON}; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'"


class ContentSecurityPolicy:
    """Middleware that sends the policy with every answer that has none."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        policy = THEME if request.path.startswith(PANEL) else STRICT
        response.headers.setdefault("Content-Security-Policy", policy)
        return response
