"""What a caller sent, merged: query string, then the JSON body or the form field `params`, the later winning."""

from collections.abc import Mapping

from django.http import HttpRequest, QueryDict

from api import bodies
from api.problems import Code, decline

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


def parameters_of(request: HttpRequest, body: bytes) -> dict[str, object]:
    """Return all parameters by name, of whatever types they came in; declines what cannot be read."""
    query = {name: values[-1] for name, values in request.GET.lists() if values}
    if any("\x00" in text for text in (*query, *query.values())):
        raise decline(Code.MALFORMED, "The request must not contain NUL characters")
    return {**query, **_body_parameters(request, body)}


def _body_parameters(request: HttpRequest, body: bytes) -> Mapping[str, object]:
    if not body.strip():
        return {}
    media_type = (request.content_type or "").lower()
    # curl -d says "form" unless it is told otherwise, and a form never begins with a brace: an encoder escapes it.
    if media_type in {"", JSON} or (media_type == FORM and body.lstrip().startswith(b"{")):
        return _object(bodies.parse_json(body), "The request's body must be a JSON object")
    if media_type == FORM:
        params = QueryDict(body, encoding="utf-8").get("params", "")
        # Postal: fields other than params are not parameters.
        return _object(bodies.parse_json(params), "params must be a JSON object") if params.strip() else {}
    raise decline(Code.MALFORMED, f"The content type must be {JSON} or {FORM}")


def _object(value: object, message: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise decline(Code.MALFORMED, message)
    return value
