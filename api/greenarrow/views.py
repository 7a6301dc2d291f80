"""The dialect's base view: who may do what, and what a body must look like."""

from collections.abc import Mapping
from typing import Any, ClassVar, cast

from rest_framework.request import Request

from api.bodies import parse_json
from api.greenarrow.authentication import Basic, level_of
from api.greenarrow.openapi import GreenArrowSchema, Operation
from api.greenarrow.renderers import renderer
from api.problems import Code, decline
from api.views import DialectView
from core.audit import Actor
from core.errors import Fault, Invalid
from core.keys import touch_last_used
from core.models import ApiToken, User

READ_ONLY = "Your API access is read-only"
THROTTLES_ONLY = "Your API access covers throttles only"
NO_ACCESS = "You don't have API access"


class GreenArrowView(DialectView):
    """An endpoint of GreenArrow's dialect. Verbs return the `data` of a success, or raise."""

    renderer = renderer
    authentication_classes = [Basic]
    schema = GreenArrowSchema()
    # What each verb takes and answers, for OpenAPI.
    operations: ClassVar[Mapping[str, Operation]]
    # Whether users whose level is "throttles only" may read it.
    is_statistics: ClassVar[bool] = False
    # Whether POST changes nothing here either: it only holds more than a URL can.
    reads_by_post: ClassVar[bool] = False

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Hold the verb against the user's API level."""
        super().initial(request, *args, **kwargs)
        reads = request.method in ("GET", "HEAD") or (request.method == "POST" and self.reads_by_post)
        match level_of(self.user):
            case User.ApiLevel.YES:
                return
            case User.ApiLevel.READ_ONLY:
                if not reads:
                    raise decline(Code.NOT_ALLOWED, READ_ONLY)
            case User.ApiLevel.STATS_ONLY:
                if not (reads and self.is_statistics):
                    raise decline(Code.NOT_ALLOWED, THROTTLES_ONLY)
            case _:
                raise decline(Code.NOT_ALLOWED, NO_ACCESS)

    def note_use(self, credential: ApiToken) -> None:
        """Note that the token was used."""
        touch_last_used(credential, at=self.now)

    @property
    def user(self) -> User:
        """Who asks: `Basic` lets nobody else in."""
        return cast(User, self.request.user)

    @property
    def actor(self) -> Actor:
        """Who acts, for the audit trail."""
        return Actor.of_user(self.user)

    def payload(self, root_key: str) -> Mapping[str, Any]:
        """Return the object under the root key of the body."""
        value = self.root(root_key)
        if not isinstance(value, dict):
            raise Invalid(Fault(root_key, "must be an object"))
        return value

    def root(self, root_key: str) -> object:
        """Return whatever is under the root key; the body is JSON whatever its Content-Type says."""
        body = parse_json(self.body())
        if not isinstance(body, dict) or root_key not in body:
            raise decline(Code.MALFORMED, f'The request must be a JSON object with the key "{root_key}"')
        return body[root_key]
