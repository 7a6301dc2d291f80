"""GreenArrow's envelope, `{success, data, error_code, error_messages}`, and its error codes."""

from collections.abc import Mapping

from django.http import HttpRequest

from api.problems import Code, Problem
from api.renderers import Answer, EnvelopeRenderer

CODES: Mapping[str, str] = {
    Code.MALFORMED: "invalid_request",
    Code.INVALID: "validation_failed",
    Code.NOT_AUTHENTICATED: "not_authorized",
    Code.WRONG_CREDENTIALS: "not_authorized",
    Code.NOT_ALLOWED: "forbidden",
    Code.NOT_FOUND: "not_found",
    Code.UNKNOWN_URL: "not_found",
    Code.WRONG_METHOD: "invalid_request",
    Code.CONFLICT: "conflict",
    Code.IN_USE: "conflict",
    Code.OVER_QUOTA: "forbidden",
    Code.TOO_LARGE: "invalid_request",
    Code.TOO_MANY: "requested_too_many",
    Code.UNAVAILABLE: "internal_error",
    Code.CRASH: "internal_error",
}


class GreenArrowRenderer(EnvelopeRenderer):
    """The four keys, always; the HTTP status says the same as the code."""

    def answer(self, answer: Answer, request: HttpRequest) -> dict[str, object]:
        """A success."""
        return {"success": True, "data": answer.data, "error_code": None, "error_messages": None}

    def problem(self, problem: Problem, request: HttpRequest) -> dict[str, object]:
        """A refusal: one sentence a fault, and the records that stand against a deletion."""
        data = None
        if problem.code == Code.IN_USE:
            data = {
                "dependencies": [{"type": each.type, "id": each.id, "name": each.name} for each in problem.dependencies]
            }
        return {
            "success": False,
            "data": data,
            "error_code": CODES.get(problem.code, "invalid_request"),
            "error_messages": list(problem.messages),
        }


renderer = GreenArrowRenderer()
