"""The request's id: in every line of its log, in what it changes (core.audit), and in its answer."""

import time

import structlog
from django.http import HttpRequest, HttpResponse
from django_structlog.middlewares import RequestMiddleware

from core.clients import client_address


class RequestLog(RequestMiddleware):
    """django-structlog's, without query strings (they hold addresses and may hold keys) and with our own view of who asks."""

    def prepare(self, request: HttpRequest) -> None:
        request.META["sluice.began"] = time.perf_counter()
        super().prepare(request)
        request.META["sluice.request_id"] = structlog.contextvars.get_contextvars()["request_id"]

    def handle_response(self, request: HttpRequest, response: HttpResponse) -> None:
        response.headers["X-Request-ID"] = request.META["sluice.request_id"]
        milliseconds = round((time.perf_counter() - request.META["sluice.began"]) * 1000, 1)
        structlog.contextvars.bind_contextvars(ms=milliseconds)
        super().handle_response(request, response)

    @classmethod
    def bind_ip(cls, request: HttpRequest) -> None:
        structlog.contextvars.bind_contextvars(ip=client_address(request))

    @staticmethod
    def format_request(request: HttpRequest) -> str:
        return f"{request.method} {request.path}"
