"""Middleware of requests: trusted proxies, long addresses, malformed heads, encodings. (Its log is config/request_log.py.)"""

import codecs
from collections.abc import Callable
from contextlib import suppress

from django.conf import settings
from django.core.exceptions import BadRequest, RequestDataTooBig, TooManyFieldsSent
from django.http import HttpRequest, HttpResponse

from api.fallbacks import dialect_of
from core.clients import comes_by_trusted_proxy

FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
# Characters; gunicorn's own limit is 4,094, and its answer a page of its own.
LONGEST_ADDRESS = 32_000


class ForwardingHeaders:
    """Removes forwarding headers (client address, scheme, host, path prefix), unless they come from a trusted proxy.

    gunicorn is told to believe none of it (config/gunicorn.py); what Django and we read is decided here, by
    SLUICE_TRUSTED_PROXIES alone. It must come before everything that reads them.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        of_scheme = settings.SECURE_PROXY_SSL_HEADER
        self.names = {"HTTP_FORWARDED", "HTTP_SCRIPT_NAME", *([of_scheme[0]] if of_scheme else [])}

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not comes_by_trusted_proxy(request):
            for name in [each for each in request.META if each in self.names or each.startswith("HTTP_X_FORWARDED_")]:
                del request.META[name]
        return self.get_response(request)


class LongAddresses:
    """Refuses a request whose path and query string are longer than any that the panel or an API makes."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if len(request.META.get("RAW_URI", request.get_full_path())) > LONGEST_ADDRESS:
            raise RequestDataTooBig("The request's address is too long")
        return self.get_response(request)


class MalformedHeads:
    """Refuses what our worker puts in the place of a request line or headers that gunicorn cannot read."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if "HTTP_X_SLUICE_MALFORMED" in request.META:
            raise BadRequest("The request's first line or its headers are malformed")
        return self.get_response(request)


class Encodings:
    """Reads addresses and forms as UTF-8, whatever charset the Content-Type names.

    The panel refuses forms in another charset, and those that Django would read as empty: packed ones, those of another type,
    and those without a Content-Length. Of a form in which nothing is chosen, each choice that there was is taken back.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        # Django reads the query string here, to read it anew; what is wrong with it is for the view's dialect to say.
        with suppress(TooManyFieldsSent):
            request.encoding = "utf-8"
        is_form = dialect_of(request.path_info) is None
        if is_form and "HTTP_TRANSFER_ENCODING" in request.META:
            # Django knows Content-Length only, and would see a form without fields.
            raise BadRequest("The form must come with a Content-Length")
        if is_form and request.META.get("CONTENT_LENGTH") not in (None, "", "0"):
            if request.META.get("HTTP_CONTENT_ENCODING", "identity").strip().lower() != "identity":
                raise BadRequest("The form must not be packed")
            if request.content_type not in FORMS:
                raise BadRequest(f"The form must be {' or '.join(FORMS)}")
            declared = (request.content_params or {}).get("charset", "utf-8")
            try:
                is_utf8 = codecs.lookup(declared).name in {"utf-8", "ascii"}
            except (LookupError, ValueError):
                is_utf8 = False
            if not is_utf8:
                raise BadRequest("The form must be UTF-8")
        return self.get_response(request)
