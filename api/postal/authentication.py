"""Authentication: the server whose API key is in `X-Server-API-Key`."""

import datetime
from typing import Any

from django.contrib.auth.models import AnonymousUser

from api.problems import Code, Declined, Problem, decline
from api.requests import Authentication, DialectRequest
from api.wrong_keys import wrong_key
from core.clients import client_address
from servers.access import Caller, InvalidKey, ServerSuspended, authenticate_key

HEADER = "HTTP_X_SERVER_API_KEY"

NO_KEY = "Must be authenticated as a server."
WRONG_KEY = "The API token provided in X-Server-API-Key was not valid."
TOO_MANY = "Too many requests with a wrong API token; try again later"
SUSPENDED = "The mail server has been suspended"


class ServerKey(Authentication):
    """A key, or nothing: `request.auth` is then the Caller. No person is involved."""

    def identify(self, request: DialectRequest) -> tuple[AnonymousUser, Any] | None:
        """Return the caller by one query; an empty key is a wrong one."""
        key = request.META.get(HEADER)
        if key is None:
            raise decline(Code.NOT_AUTHENTICATED, NO_KEY)
        try:
            return AnonymousUser(), self.holder_of(key, at=request.now)
        except InvalidKey:
            raise wrong(key, client_address(request._request)) from None
        except ServerSuspended:
            raise Declined(Problem("ServerSuspended", (SUSPENDED,), 403)) from None

    def holder_of(self, key: str, *, at: datetime.datetime) -> Any:
        """Return whose key it is; raises InvalidKey or ServerSuspended."""
        return authenticate_key(key, at=at)


class OptionalServerKey(ServerKey):
    """A key that may be missing: `request.auth` is None then. A wrong key is never as good as none."""

    def identify(self, request: DialectRequest) -> tuple[AnonymousUser, Caller] | None:
        """Return the caller, or None without a key."""
        return super().identify(request) if HEADER in request.META else None


def wrong(key: str, address: str) -> Declined:
    """Return the exception for a key that is nobody's; it is counted by key and address."""
    return wrong_key(key, address, message=WRONG_KEY, too_many=TOO_MANY)
