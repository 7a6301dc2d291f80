"""The base class of all views of both dialects."""

import datetime
import logging
from abc import ABC
from collections.abc import Mapping
from typing import Any

from django.db import DatabaseError
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView, set_rollback
from rest_framework.viewsets import ViewSet

from api import bodies
from api.problems import problem_from
from api.renderers import Answer, EnvelopeRenderer
from api.requests import DialectRequest
from core.keys import touch_last_used

logger = logging.getLogger(__name__)


def answer_problem(exc: Exception, context: Mapping[str, Any]) -> Response | None:
    """Return the response for anything a caller can be told; None for a bug, which then goes its way to handler500."""
    problem = problem_from(exc)
    if problem is None:
        return None
    set_rollback()
    renderer: EnvelopeRenderer = context["view"].renderer
    return Response(problem, status=renderer.status_of(problem), headers=problem.headers)


class DialectView(APIView, ABC):
    """A view that returns plain data or raises. A dialect's own base declares renderer, authentication and parameters.

    Verbs are methods (`get`, `post`, …) that return plain data, or an `Answer` where flags are wanted.
    """

    renderer: EnvelopeRenderer
    body_limit = bodies.MEBIBYTE

    parser_classes = ()  # bodies are read by api.bodies
    permission_classes = ()
    throttle_classes = ()
    renderer_classes = ()  # `renderer` is the only one: DRF would tell caches that answers vary by `Accept`
    http_method_names = [verb for verb in APIView.http_method_names if verb != "options"]
    metadata_class = None  # OPTIONS would describe a serializer that no dialect has
    versioning_class = None
    request: DialectRequest

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        """The typed request; a body is read by api.bodies, so that it has no parsers."""
        return DialectRequest(request, authenticators=self.get_authenticators())

    @property
    def now(self) -> datetime.datetime:
        """When work on the request began."""
        return self.request.now

    def get_renderers(self) -> list[BaseRenderer]:
        """The dialect's renderer, one instance for all requests."""
        return [self.renderer]

    def perform_content_negotiation(self, request: Request, force: bool = False) -> tuple[BaseRenderer, str]:  # noqa: FBT001, FBT002 - REST framework's signature
        """The dialect's own form, whatever `Accept` says: vendors' clients send all kinds."""
        return self.renderer, self.renderer.media_type

    def get_exception_handler(self) -> Any:
        """One handler for both dialects."""
        return answer_problem

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """A wrong verb is a fact about the URL: it is told to anybody, before any query."""
        verb = (request.method or "").lower()
        if verb not in self.http_method_names or not hasattr(self, verb):
            raise MethodNotAllowed(request.method or "")
        super().initial(request, *args, **kwargs)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Response:
        """Note the use of the key when all else is done and committed, and wrap plain data: the envelope is the renderer's."""
        credential = getattr(request, "_auth", None)
        if credential is not None:
            try:
                touch_last_used(credential, at=self.now)
            except DatabaseError:
                # What was asked for is done: a busy database may not turn it into a failure.
                logger.warning("last_used_not_noted", exc_info=True)
        if not isinstance(response, HttpResponseBase):
            response = Response(response if isinstance(response, Answer) else Answer(response))
        return super().finalize_response(request, response, *args, **kwargs)

    def body(self) -> bytes:
        """Return the request's body, unpacked, within the view's limit."""
        return bodies.read_unpacked(self.request._request, limit=self.body_limit)


class DialectViewSet(ViewSet, DialectView):
    """The base of a resource: actions (`list`, `retrieve`, `create`, …) return plain data, an `Answer`, or raise.

    A dialect's router says which verb of which URL is which action.
    """
