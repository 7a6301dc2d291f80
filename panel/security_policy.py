"""The Content-Security-Policy of pages: no external and no inline content.

Django 5.2 has no such header of its own. The admin's theme needs two exceptions, on the panel's pages only: Alpine evaluates
its attributes as expressions, and the theme's colours are an inline style. Pages that say what went wrong bring their one style
with them, because nothing else may work then: just that style is allowed, by its hash.
"""

import base64
import hashlib
import re
from collections.abc import Callable, Iterable

from django.http import HttpRequest, HttpResponse

from panel.time_zone import PANEL

_COMMON = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'self'"
)
STRICT = f"{_COMMON}; script-src 'self'; style-src 'self'"
_STYLE = re.compile(rb"<style>(.*?)</style>", re.DOTALL)
# The panel, and its pages that need no signing in.
THEMED = (PANEL, "/reports/", "/alerts/")
THEME = f"{_COMMON}; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'"


class ContentSecurityPolicy:
    """Middleware that adds the policy to every response without one."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        policy = THEME if request.path.startswith(THEMED) else " ".join([STRICT, *_own_styles(response)])
        response.headers.setdefault("Content-Security-Policy", policy)
        return response


def _own_styles(response: HttpResponse) -> Iterable[str]:
    """Return the hashes of the styles of our error pages, which contain no user input."""
    is_page = response.headers.get("Content-Type", "").startswith("text/html")
    if response.status_code < 400 or response.streaming or not is_page:
        return []
    digests = (hashlib.sha256(style).digest() for style in _STYLE.findall(response.content))
    return [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests]
