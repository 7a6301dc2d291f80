"""Tokens of event sources in URLs (`/api/v1/events/<token>`), for senders that cannot set a header.

The token leaves the path before anything else sees the request: what logs, measures, resolves or refuses it finds
`/api/v1/events`. gunicorn's own lines at DEBUG are cleaned by `config.logs`.
"""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

PREFIX = "/api/v1/events/"
# Where the request keeps the token.
KEY = "sluice.source_token"
# What a server says of the path beside what Django reads.
_OTHER_PATHS = ("REQUEST_URI", "RAW_URI")


class SourceTokens:
    """The middleware that takes the token out of the path; it must be the first."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path_info.startswith(PREFIX) and (token := request.path_info[len(PREFIX) :].strip("/")):
            request.META[KEY] = token
            plain = PREFIX.rstrip("/")
            script = request.path.removesuffix(request.path_info)
            request.path, request.path_info, request.META["PATH_INFO"] = script + plain, plain, plain
            for name in _OTHER_PATHS:
                if name in request.META:
                    request.META[name] = script + plain
        return self.get_response(request)
