"""The dialect's base viewset. Each action declares its parameters and its response."""

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from django.db.models import Model, QuerySet
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.serializers import BaseSerializer, Field, Serializer

from api.openapi import Schema
from api.postal.authentication import ServerKey
from api.postal.openapi import PostalSchema
from api.postal.parameters import Parameters
from api.postal.problems import Refusal, refuse
from api.postal.renderers import renderer
from api.postal.requests import parameters_of
from api.renderers import Answer
from api.views import DialectViewSet
from core import replica

READS = ("get", "post")
# Postal: PUT and PATCH are tolerated; nothing that changes anything answers GET.
CHANGES = ("post", "put", "patch")
DELETES = (*CHANGES, "delete")

type Method = Callable[..., object]
# The parameters of an action by name, read and checked.
type Given = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What an action declares: its parameters and its answer, and what else the OpenAPI document says of it.

    Its two serializers are one instance each for all requests, of which they hold nothing: making their fields anew takes
    longer than reading and writing. `errors` are refusals of the action's own, `error_data` what may stand beside code and
    message. An action without parameters (`takes` None) reads the body itself: `body` and `faults` describe it. Its examples
    are `examples/<resource>-<path>.json`, and others of that name with a word more: `servers-show.detailed.json`.
    """

    answers: Serializer
    is_change: bool
    takes: Parameters | None
    is_plain: bool = False
    errors: tuple[Refusal, ...] = ()
    error_data: type[BaseSerializer] | None = None
    body: Schema | None = None
    faults: tuple[str, ...] = ()

    def write(self, found: object) -> object:
        """Return what an action found as JSON values, by its serializer; it is JSON already where `is_plain`."""
        if self.is_plain:
            return found
        answer = found if isinstance(found, Answer) else Answer(found)
        return Answer(self.answers.to_representation(answer.data), answer.flags)


def endpoint(
    verbs: tuple[str, ...],
    path: str,
    *,
    answers: Mapping[str, Field],
    takes: type[Parameters] | None = Parameters,
    authentication: type[ServerKey] = ServerKey,
    **declared: Any,
) -> Callable[[Method], Method]:
    """Make a method an action of these verbs; what else is `declared` are parts of its Operation.

    `answers` are the fields of the answer by name. The method is called with the caller (a `servers.access.Caller`) and the
    parameters, all of them read and checked, of which those in the path win; without parameters, with the request.
    """

    def decorate(method: Method) -> Method:
        @functools.wraps(method)
        def run(view: PostalViewSet, request: Request, **in_path: str) -> object:
            if operation.takes is None:
                return operation.write(method(view, request))
            given = operation.takes.run_validation(parameters_of(request._request, view.body()) | in_path)
            if operation.is_change:
                return operation.write(method(view, request.auth, given))
            return replica.read(lambda: operation.write(method(view, request.auth, given)))

        name = method.__qualname__.replace("ViewSet.", "_").title().replace("_", "")
        operation = Operation(
            answers=type(f"{name}Serializer", (Serializer,), dict(answers))(),
            is_change=verbs is not READS,
            takes=None if takes is None else takes(),
            **declared,
        )
        method_of_view: Any = run
        method_of_view.operation = operation
        settings: Any = {"methods": verbs, "url_path": path, "authentication_classes": [authentication]}
        return action(detail=False, **settings)(method_of_view)

    return decorate


reads = functools.partial(endpoint, READS)
changes = functools.partial(endpoint, CHANGES)
deletes = functools.partial(endpoint, DELETES)


def page_of(rows: QuerySet[Any], given: Given) -> tuple[Iterable[Any], dict[str, int]]:
    """Return the page of the rows that `parameters.Page` asks for, and the answer's `pagination`."""
    total, per_page = rows.count(), given["per_page"]
    start = (given["page"] - 1) * per_page
    # Past the end, however far: no question to the database, whose offsets end at 64 bits.
    found = rows[start : start + per_page] if start < total else []
    pages = {"total_pages": -(-total // per_page), "total_count": total}
    return found, {"current_page": given["page"], "per_page": per_page, **pages}


def one_of[Row: Model](rows: QuerySet[Row], refusal: Refusal, **lookup: object) -> Row:
    """Return the row; declines with the refusal where there is none."""
    found = rows.filter(**lookup).first()
    if found is None:
        raise refuse(refusal)
    return found


class PostalViewSet(DialectViewSet):
    """The base of the dialect's resources."""

    renderer = renderer
    authentication_classes = [ServerKey]
    schema = PostalSchema()
    # The operations' group in the OpenAPI document.
    tag: ClassVar[str]
