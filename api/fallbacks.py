"""Error handlers for unknown URLs and crashes, in the dialect of the path, or as Django does."""

import sys

from django.db import Error as DatabaseError
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template import loader
from django.utils.module_loading import import_string
from django.views import defaults

from api.problems import TOO_LONG, Code, Problem, problem_from
from api.renderers import EnvelopeRenderer

# The paths on which somebody expects a dialect; longer prefixes first where one contains the other. Renderers stand by name:
# the dialects may not know each other, and config.urls, by which each is imported, imports this module.
DIALECTS = (
    ("/ga/api/", "api.greenarrow.renderers.renderer"),
    ("/api/node/", "api.nodes.renderers.renderer"),
    ("/api/", "api.postal.renderers.renderer"),
)


def handler400(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """A request that Django refused before any view, as with a host that is not ours."""
    problem = problem_from(exception) or Problem.of(Code.MALFORMED)
    return _in_dialect(problem, request) or defaults.bad_request(request, exception)


def handler403(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """A refusal outside of any view of a dialect."""
    return _in_dialect(Problem.of(Code.NOT_ALLOWED), request) or defaults.permission_denied(request, exception)


def handler404(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """A URL that nothing answers."""
    return _in_dialect(Problem.of(Code.UNKNOWN_URL), request) or defaults.page_not_found(request, exception)


def handler500(request: HttpRequest) -> HttpResponse | HttpResponseBase:
    """A crash: Django has logged it; nothing here may fail, so nothing here asks the database.

    A database that is away is no crash: whoever asked may ask again.
    """
    problem = _unavailable(sys.exception()) or Problem.of(Code.CRASH)
    if (response := _in_dialect(problem, request)) is not None:
        return response
    if problem.code != Code.UNAVAILABLE:
        return defaults.server_error(request)
    page = loader.get_template("503.html").render({"is_too_long": problem.message == TOO_LONG})
    return HttpResponse(page, status=problem.status, headers=problem.headers)


def _unavailable(exc: BaseException | None) -> Problem | None:
    problem = problem_from(exc) if isinstance(exc, DatabaseError) else None
    return problem if problem is not None and problem.code == Code.UNAVAILABLE else None


def _in_dialect(problem: Problem, request: HttpRequest) -> HttpResponse | None:
    """Return the response in the dialect of the path; None for pages of the panel."""
    renderer = dialect_of(request.path_info)
    return None if renderer is None else renderer.respond(problem, request)


def dialect_of(path: str) -> EnvelopeRenderer | None:
    """Return the renderer of the dialect that lives at a path; None for pages of the panel."""
    for prefix, name in DIALECTS:
        if path.startswith(prefix):
            return import_string(name)
    return None
