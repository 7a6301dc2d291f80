"""The node API's responses: plain JSON, and `{"error": {"code", "message"}}` for refusals."""

from collections.abc import Mapping

from django.http import HttpRequest

from api.problems import Code, Problem
from api.renderers import Answer, EnvelopeRenderer

CODES: Mapping[str, str] = {
    Code.MALFORMED: "malformed",
    Code.INVALID: "invalid",
    Code.NOT_AUTHENTICATED: "invalid_key",
    Code.WRONG_CREDENTIALS: "invalid_key",
    Code.NOT_ALLOWED: "not_allowed",
    Code.NOT_FOUND: "not_found",
    Code.UNKNOWN_URL: "unknown_url",
    Code.WRONG_METHOD: "wrong_method",
    Code.CONFLICT: "conflict",
    Code.IN_USE: "conflict",
    Code.TOO_LARGE: "too_large",
    Code.TOO_MANY: "too_many",
    Code.UNAVAILABLE: "unavailable",
    Code.CRASH: "internal_error",
}


class NodeRenderer(EnvelopeRenderer):
    """No envelope around what was asked for; the HTTP status says whether it is that."""

    def answer(self, answer: Answer, request: HttpRequest) -> dict[str, object]:
        """The document itself."""
        if not isinstance(answer.data, dict):
            raise TypeError("A node is answered with an object")
        return answer.data

    def problem(self, problem: Problem, request: HttpRequest) -> dict[str, object]:
        """A code to act on and a sentence to log."""
        return {"error": {"code": CODES.get(problem.code, problem.code), "message": problem.message}}


renderer = NodeRenderer()
