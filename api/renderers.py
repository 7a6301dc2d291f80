"""Renders the result of a view: one envelope per dialect, chosen by type."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from time import perf_counter
from types import MappingProxyType
from typing import Any

import orjson
from django.http import HttpRequest, HttpResponse
from rest_framework.renderers import BaseRenderer

from api.problems import Problem

# Where a request notes when work on it began: in META, which fallbacks see too, when no view is left.
STARTED = "sluice.started"


def seconds_since_start(request: HttpRequest) -> float:
    """Return how long the request has been worked on; 0 where no view of a dialect began."""
    now = perf_counter()
    return now - request.META.get(STARTED, now)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a view found: the data, and flags for a dialect that has them."""

    data: object
    flags: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))


class EnvelopeRenderer(BaseRenderer, ABC):
    """The base of both dialects' renderers: a dialect says how an Answer and a Problem look, and with which status."""

    media_type = "application/json"
    format = "json"
    charset = None  # JSON is UTF-8 by its own standard; a charset parameter means nothing there

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> bytes:
        """Return the envelope around an Answer or a Problem; anything else is a programming error."""
        request = (renderer_context or {})["request"]
        return encode(self.envelope(data, request))

    def envelope(self, held: Answer | Problem, request: HttpRequest) -> dict[str, object]:
        """Return the envelope as a dict."""
        if isinstance(held, Problem):
            return self.problem(held, request)
        if isinstance(held, Answer):
            return self.answer(held, request)
        raise TypeError(f"An envelope holds an Answer or a Problem, not {type(held).__name__}")

    @abstractmethod
    def answer(self, answer: Answer, request: HttpRequest) -> dict[str, object]:
        """Return the envelope of a success."""

    @abstractmethod
    def problem(self, problem: Problem, request: HttpRequest) -> dict[str, object]:
        """Return the envelope of a refusal."""

    def status_of(self, problem: Problem) -> int:
        """Return the HTTP status of a refusal."""
        return problem.status

    def respond(self, problem: Problem, request: HttpRequest) -> HttpResponse:
        """Return a whole response outside of any view: unknown URLs, crashes."""
        return HttpResponse(
            encode(self.envelope(problem, request)),
            status=self.status_of(problem),
            content_type=self.media_type,
            headers=problem.headers,
        )


def encode(envelope: object) -> bytes:
    """Return JSON; values that JSON has no word for raise TypeError, because a shape must have said them in text."""
    # Strict: orjson would otherwise write datetimes and dataclasses in forms that no dialect promised.
    return orjson.dumps(envelope, option=orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS)
