"""The base view of the node API: authentication by node key as a bearer token."""

from collections.abc import Mapping
from typing import Any, cast

from django.contrib.auth.models import AnonymousUser

from api.bodies import parse_json
from api.nodes.renderers import renderer
from api.problems import Code, Problem, decline, problem_from
from api.requests import Authentication, DialectRequest
from api.views import DialectView
from api.wrong_keys import wrong_key
from core.clients import client_address
from nodes import access
from nodes.document import NoRevision
from nodes.models import Node

CHALLENGE = "Bearer"
NO_KEY = "Authentication is required: send the node's key as a bearer token"
WRONG_KEY = "The node key is not valid"
TOO_MANY = "Too many requests with a wrong node key; try again later"


class NodeKey(Authentication):
    """`Authorization: Bearer KEY`; `request.auth` is the Node."""

    challenge = CHALLENGE

    def identify(self, request: DialectRequest) -> tuple[AnonymousUser, Node]:
        """Return the node by one query; a wrong key is counted by key and address."""
        scheme, _, key = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() != "bearer":
            raise decline(Code.NOT_AUTHENTICATED, NO_KEY, authenticate=CHALLENGE)
        try:
            return AnonymousUser(), access.authenticate_node(key.strip(), at=request.now)
        except access.InvalidNodeKey:
            address = client_address(request._request)
            raise wrong_key(
                key.strip(), address, message=WRONG_KEY, too_many=TOO_MANY, authenticate=CHALLENGE
            ) from None


class NodeView(DialectView):
    """What a node's agent asks. docs/nodes.md describes it; it is not in the OpenAPI document of the platform's dialects."""

    renderer = renderer
    authentication_classes = [NodeKey]
    schema = None

    @property
    def node(self) -> Node:
        """The node that asks."""
        return cast("Node", self.request.auth)

    def given(self, what: str) -> Mapping[str, Any]:
        """Return the object that the body is; `what` names it where it is none."""
        given = parse_json(self.body())
        if not isinstance(given, Mapping):
            raise decline(Code.MALFORMED, f"{what} is a JSON object")
        return given


@problem_from.register
def _(exc: NoRevision) -> Problem | None:
    return Problem("no_revision", (exc.message,), 404)
