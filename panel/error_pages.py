"""Error pages for signed-in users, with the panel's sidebar and search."""

from collections.abc import Callable
from http import HTTPStatus

import structlog
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template import loader

from panel.record_actions import is_within_page
from panel.time_zone import PANEL
from stats.ledger import database

logger = structlog.get_logger(__name__)

WORDS = {
    400: ("Bad request", "The URL or the form contains a value that this page does not accept."),
    403: ("Not allowed", "You do not have permission to view this page or to do this."),
    404: ("Not found", "There is no page at this address. A record may have been deleted, or is not yours to view."),
    500: ("Something went wrong", "The error has been logged."),
    # Where the statistics' own database is away, and no other.
    503: (
        "No counts just now",
        "The database of the statistics does not answer. All else works; events are refused, so that they are sent again.",
    ),
}
# A form with another token than the browser has by now: it signed in or out since, or takes no cookies of this site.
OUTDATED = (
    "Not saved",
    (
        "You signed in or out after this page was opened, perhaps in another tab, or your browser takes no cookies of this "
        "site. Go back, keep a copy of what you typed, reload the page, and send it again."
    ),
)
_IS_OUTDATED = "sluice.is_outdated"


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Return the answer to a form whose token is not that of the browser's cookie. Django logs the reason."""
    request.META[_IS_OUTDATED] = True
    heading, sentence = OUTDATED
    text = loader.render_to_string("403_csrf.html", {"heading": heading, "sentence": sentence})
    return HttpResponse(text, status=HTTPStatus.FORBIDDEN)


class PanelErrorPages:
    """Middleware that renders error pages of the panel with its sidebar and search."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        is_page = response.headers.get("Content-Type", "").startswith("text/html") and not response.streaming
        if response.status_code not in WORDS or not request.path.startswith(PANEL) or not is_page:
            return response
        is_away = response.status_code == HTTPStatus.SERVICE_UNAVAILABLE
        if is_within_page(request) or (is_away and not database.has_failed()):
            return response
        try:
            page = self._panel_page(request, response.status_code)
        except Exception:
            # The error, such as an unreachable database, can also prevent rendering the sidebar: the plain page is used then.
            logger.exception("error_page_without_sidebar")
            return response
        if page is not None and "Retry-After" in response.headers:
            page.headers["Retry-After"] = response.headers["Retry-After"]
        return page or response

    def _panel_page(self, request: HttpRequest, status: int) -> HttpResponse | None:
        if not admin.site.has_permission(request):
            return None
        heading, sentence = OUTDATED if _IS_OUTDATED in request.META else WORDS[status]
        if status == HTTPStatus.INTERNAL_SERVER_ERROR and request.method == "POST":
            sentence += " Your change was not saved."
        context = {
            **admin.site.each_context(request),
            "title": heading,
            "status": status,
            "sentence": sentence,
            "request_id": request.META.get("sluice.request_id", ""),
        }
        page = loader.get_template("panel/error.html").render(context, request)
        return HttpResponse(page, status=status)
