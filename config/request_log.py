"""The log of requests: a line at the end of each, and its id, client and user in every line written meanwhile."""

import datetime
import logging
import re
import time
import uuid

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.utils.functional import SimpleLazyObject
from django_structlog.middlewares import RequestMiddleware

from config import logs
from core.clients import client_address

# What may be the token of an event source, in an address that was mistyped. No page's or endpoint's address has such a word.
_KEY = re.compile(r"[A-Za-z0-9]{24,}")
_LOGGER = logging.getLogger("django_structlog.middlewares.request")
_BEGAN, _ID = "sluice.began", "sluice.request_id"


class RequestLog(RequestMiddleware):
    """django-structlog's, without query strings (they hold addresses and may hold keys) and with our own view of who asks.

    What nearly every request does is written here anew, with the same fields in the same order: signals that nobody receives,
    a line that is below the level, and the chains of two loggers took a tenth of a small request, and half of a 404.
    """

    def prepare(self, request: HttpRequest) -> None:
        request.META[_BEGAN] = time.perf_counter()
        if _LOGGER.isEnabledFor(logging.DEBUG):
            super().prepare(request)
            request.META[_ID] = structlog.contextvars.get_contextvars()["request_id"]
            return
        request.META[_ID] = request_id = str(uuid.uuid4())
        structlog.contextvars.bind_contextvars(request_id=request_id)
        self.bind_user_id(request)
        self.bind_ip(request)

    def handle_response(self, request: HttpRequest, response: HttpResponse) -> None:
        response.headers["X-Request-ID"] = request.META[_ID]
        milliseconds = round((time.perf_counter() - request.META[_BEGAN]) * 1000, 1)
        if hasattr(request, "_raised_exception") or isinstance(response, StreamingHttpResponse):
            # A failure has been logged; a stream goes on being logged.
            structlog.contextvars.bind_contextvars(ms=milliseconds)
            super().handle_response(request, response)
            return
        self.bind_user_id(request)
        level = self._log_level_for_status_code(response.status_code)
        if _LOGGER.isEnabledFor(level):
            told = logs.remove_secrets(_LOGGER, "log", {"request": self.format_request(request)})
            # Nothing of a client's is among what is bound: an id of ours, a parsed address, a number.
            logs.write_line(
                _LOGGER,
                level,
                {
                    "code": response.status_code,
                    **told,
                    "event": "request_finished",
                    **structlog.contextvars.get_contextvars(),
                    "ms": milliseconds,
                    "logger": _LOGGER.name,
                    "level": logging.getLevelName(level).lower(),
                    "timestamp": datetime.datetime.now(datetime.UTC).isoformat().replace("+00:00", "Z"),
                },
            )
        structlog.contextvars.clear_contextvars()

    @classmethod
    def bind_ip(cls, request: HttpRequest) -> None:
        structlog.contextvars.bind_contextvars(ip=client_address(request))

    @staticmethod
    def bind_user_id(request: HttpRequest) -> None:
        # Without a session nobody is found by it: asking takes as long as the rest of this. An API's user, or one who has just
        # signed in, is no lazy object any more.
        if settings.SESSION_COOKIE_NAME not in request.COOKIES and isinstance(request.user, SimpleLazyObject):
            structlog.contextvars.bind_contextvars(user_id=None)
            return
        RequestMiddleware.bind_user_id(request)

    @staticmethod
    def format_request(request: HttpRequest) -> str:
        # Of a link's token, the other would leave the part without such a word: its signature.
        return f"{request.method} {_KEY.sub('[removed]', logs.without_links(request.path))}"
