"""The dialect's base views. An endpoint declares what it takes, and `answer` says what it finds."""

from typing import Any, ClassVar

from rest_framework.request import Request

from api.postal.authentication import ServerKey
from api.postal.openapi import PostalSchema
from api.postal.pages import IP_POOLS, SERVERS, Page
from api.postal.parameters import Parameter, read
from api.postal.requests import parameters_of
from api.postal.schemas import Schema
from api.views import DialectView
from core.keys import UsedKey, touch_last_used


class PostalView(DialectView):
    """An endpoint of Postal's dialect."""

    page: ClassVar[Page] = SERVERS
    renderer = SERVERS.renderer
    parameters: ClassVar[tuple[Parameter, ...]] = ()
    authentication_classes = [ServerKey]

    # What OpenAPI says beside that: the schema of `data`, the documents' examples (files in examples/), refusals of the
    # endpoint's own as (code, message), what may stand beside code and message, and faults of several parameters.
    schema = PostalSchema()
    tag: ClassVar[str] = "Postal: servers"
    data: ClassVar[Schema] = {}
    examples: ClassVar[tuple[str, ...]] = ()
    errors: ClassVar[tuple[tuple[str, str], ...]] = ()
    error_data: ClassVar[dict[str, Schema]] = {}
    faults: ClassVar[tuple[str, ...]] = ()
    is_change: ClassVar[bool] = False

    def answer(self, caller: Any, given: dict[str, Any]) -> object:
        """Return the data for the parameters, all of them read and checked; `caller` is a servers.access.Caller."""
        # Not an abstract method: an endpoint whose body is no object of parameters replaces `run` instead.
        raise NotImplementedError(f"{type(self).__name__} does not say what it answers")

    def run(self, request: Request, **path: str) -> object:
        """Read the parameters (those in the path win) and answer."""
        raw = parameters_of(request._request, self.body()) | path
        return self.answer(request.auth, read(self.parameters, raw, self.page))

    def note_use(self, credential: UsedKey) -> None:
        """Note that the key was used."""
        touch_last_used(credential, at=self.now)


class ReadView(PostalView):
    """Changes nothing: GET and POST."""

    def get(self, request: Request, **path: str) -> object:
        """Answer."""
        return self.run(request, **path)

    def post(self, request: Request, **path: str) -> object:
        """Answer."""
        return self.run(request, **path)


class ChangeView(PostalView):
    """Changes something: POST, with PUT and PATCH tolerated; never GET."""

    is_change = True

    def post(self, request: Request, **path: str) -> object:
        """Act."""
        return self.run(request, **path)

    put = patch = post


class DeleteView(ChangeView):
    """Deletes something: as a change, and DELETE."""

    delete = ChangeView.post


class IPPoolsPage(PostalView):
    """Mixed into the views of the IP Pools page."""

    page = IP_POOLS
    renderer = IP_POOLS.renderer
    tag = "Postal: IP pools"
