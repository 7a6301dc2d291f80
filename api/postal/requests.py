"""Merges the parameters of a request: query string, then the JSON body or the form field `params`; the later wins."""

import io
import re
from collections.abc import Iterator, Mapping
from urllib.parse import unquote_to_bytes

from django.core.exceptions import BadRequest, SuspiciousOperation
from django.core.files.uploadhandler import MemoryFileUploadHandler
from django.http import HttpRequest, QueryDict
from django.http.multipartparser import MultiPartParser, MultiPartParserError

from api import bodies
from api.problems import Code, decline

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
# What clients call JSON where they do not say so: `+json` types beside.
_TEXTS = frozenset({"", JSON, "text/json", "text/plain"})
BROKEN_FORM = "The multipart form is not whole"
PART_ENCODING = "The parts of the form must not be encoded, except in base64"
# A header of a part whose encoding Django takes for its text (quoted-printable; RFC 7578, 4.7, has none of them).
_UNREAD_ENCODING = re.compile(
    rb"(?:\A|\r\n)content-transfer-encoding[ \t]*:[ \t]*+(?!(?:7bit|8bit|binary|base64)[ \t]*(?:\r\n|\Z))",
    re.IGNORECASE,
)


def parameters_of(request: HttpRequest, body: bytes) -> dict[str, object]:
    """Return all parameters by name, of whatever types they came in; declines what cannot be read."""
    _refuse_other_charsets(unquote_to_bytes(request.META.get("QUERY_STRING", "").encode("latin-1")), "query string")
    query = {name: values[-1] for name, values in request.GET.lists() if values}
    if any("\x00" in text for text in (*query, *query.values())):
        raise decline(Code.MALFORMED, "The request must not contain NUL characters")
    return {**query, **_body_parameters(request, body)}


def _body_parameters(request: HttpRequest, body: bytes) -> Mapping[str, object]:
    if not body.strip():
        return {}
    media_type = (request.content_type or "").lower()
    # curl -d says "form" unless it is told otherwise, and a form never begins with a brace: an encoder escapes it.
    is_json = media_type in _TEXTS or media_type.endswith("+json")
    if is_json or (media_type == FORM and body.lstrip().startswith(b"{")):
        return _object(bodies.parse_parameters(body), "The request's body must be a JSON object")
    if media_type == FORM:
        _refuse_other_charsets(unquote_to_bytes(body), "form")
        return _params(QueryDict(body, encoding="utf-8").get("params", ""))
    if media_type == MULTIPART:
        return _params(_multipart_params(request, body))
    raise decline(Code.MALFORMED, f"The content type must be {JSON}, {FORM} or {MULTIPART}")


def _params(text: str | bytes) -> Mapping[str, object]:
    # Postal: fields other than params are not parameters.
    return _object(bodies.parse_parameters(text), "params must be a JSON object") if text.strip() else {}


def _refuse_other_charsets(raw: bytes, noun: str) -> None:
    """Refuse text that is not UTF-8: Django would replace the bytes that it cannot read, and store a name that nobody wrote."""
    try:
        raw.decode()
    except UnicodeDecodeError:
        raise decline(Code.MALFORMED, f"The {noun} must be UTF-8") from None


def _multipart_params(request: HttpRequest, body: bytes) -> str | bytes:
    """Return the form's `params`, be it a field or a file (`curl -F params=@file`); declines a form that is not whole."""
    boundary = (request.content_params or {}).get("boundary", "")
    # Django's parser takes what there is of a form that was cut off.
    delimiter = b"--" + boundary.encode("latin-1", "replace")
    if not boundary or not body.rstrip().endswith(delimiter + b"--"):
        raise decline(Code.MALFORMED, BROKEN_FORM)
    _refuse_other_charsets(body, "form")
    if any(_UNREAD_ENCODING.search(head) for head in _part_heads(body, delimiter)):
        raise decline(Code.MALFORMED, PART_ENCODING)
    meta = request.META | {"CONTENT_LENGTH": str(len(body))}
    try:
        fields, files = MultiPartParser(meta, io.BytesIO(body), [MemoryFileUploadHandler(request)], "utf-8").parse()
    except (MultiPartParserError, SuspiciousOperation, BadRequest):
        raise decline(Code.MALFORMED, BROKEN_FORM) from None
    given = [*fields.getlist("params"), *(each.read() for each in files.getlist("params"))]
    params = given[-1] if given else ""
    if isinstance(params, bytes):
        _refuse_other_charsets(params, "form")
    elif "\ufffd" in params and "\ufffd" not in body.decode():
        # In a part that is encoded in base64, Django replaces bytes that are not UTF-8.
        raise decline(Code.MALFORMED, "The form must be UTF-8")
    return params


def _part_heads(body: bytes, delimiter: bytes) -> Iterator[bytes]:
    """Yield the headers of each part, reading each byte of the body a fixed number of times."""
    for part in body.split(delimiter):
        yield part.partition(b"\r\n\r\n")[0]


def _object(value: object, message: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise decline(Code.MALFORMED, message)
    return value
