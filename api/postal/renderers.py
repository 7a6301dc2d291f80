"""Postal's envelope, `{status, time, flags, data}`, and its error codes."""

from collections.abc import Mapping
from types import MappingProxyType

from django.http import HttpRequest

from api.problems import Code, Problem
from api.renderers import Answer, EnvelopeRenderer, seconds_since_start
from core.errors import Fault

CODES: Mapping[str, str] = {
    Code.INVALID: "ValidationError",
    Code.NOT_AUTHENTICATED: "AccessDenied",
    Code.WRONG_CREDENTIALS: "InvalidServerAPIKey",
    Code.NOT_ALLOWED: "AccessDenied",
    Code.NOT_FOUND: "NotFound",
    Code.UNKNOWN_URL: "NotFound",
    Code.WRONG_METHOD: "MethodNotAllowed",
    Code.CONFLICT: "Conflict",
    Code.IN_USE: "InUse",
    Code.OVER_QUOTA: "QuotaExceeded",
    Code.TOO_LARGE: "RequestTooLarge",
    Code.TOO_MANY: "TooManyRequests",
    Code.UNAVAILABLE: "Unavailable",
    Code.CRASH: "InternalServerError",
}
# Postal: HTTP says 200 to every refusal but these.
STATUSES: Mapping[str, int] = MappingProxyType(
    {Code.UNKNOWN_URL: 404, Code.TOO_LARGE: 413, Code.TOO_MANY: 429, Code.CRASH: 500, Code.UNAVAILABLE: 503}
)


class PostalRenderer(EnvelopeRenderer):
    """The envelope as the Servers page shows it; `time` is the seconds since the view began."""

    def answer(self, answer: Answer, request: HttpRequest) -> dict[str, object]:
        """`success` with the view's data."""
        return self._envelope("success", answer.data, request, answer.flags)

    def problem(self, problem: Problem, request: HttpRequest) -> dict[str, object]:
        """`parameter-error` or `error`; what an endpoint promises beside code and message stands beside them."""
        # A body that cannot be read is a fault of its parameters.
        if problem.code == Code.MALFORMED:
            return self.parameter_error(problem.message, request)
        data = {"code": CODES.get(problem.code, problem.code), "message": _sentence(problem)}
        return self._envelope("error", {**data, **problem.data}, request)

    def parameter_error(self, message: str, request: HttpRequest) -> dict[str, object]:
        """The Servers page: a status of its own, and no code."""
        return self._envelope("parameter-error", {"message": message}, request)

    def status_of(self, problem: Problem) -> int:
        """HTTP says next to nothing in this dialect."""
        return STATUSES.get(problem.code, 200)

    @staticmethod
    def _envelope(
        status: str, data: object, request: HttpRequest, flags: Mapping[str, object] = MappingProxyType({})
    ) -> dict[str, object]:
        return {"status": status, "time": round(seconds_since_start(request), 3), "flags": dict(flags), "data": data}


def _sentence(problem: Problem) -> str:
    """Return one text; Postal: a field at a sentence's start is spoken ("Ip pool", not "ip_pool")."""
    if not problem.faults:
        return problem.message
    return ", ".join(str(Fault(_spoken(each.path), each.message)) for each in problem.faults)


def _spoken(path: str) -> str:
    return path.removesuffix("_id").replace("_", " ").capitalize()


class IPPoolsRenderer(PostalRenderer):
    """The same envelope as the IP Pools page uses it."""

    def parameter_error(self, message: str, request: HttpRequest) -> dict[str, object]:
        """The IP Pools page: an error like any other, with a code."""
        return self._envelope("error", {"code": "ParameterError", "message": message}, request)


class SourceRenderer(PostalRenderer):
    """The same envelope for event sources: a service that posts its events looks at the status alone."""

    def status_of(self, problem: Problem) -> int:
        """HTTP's own word, so that what was refused is sent again."""
        return problem.status


renderer = PostalRenderer()
source_renderer = SourceRenderer()
ip_pools_renderer = IPPoolsRenderer()
