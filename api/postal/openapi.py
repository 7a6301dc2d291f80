"""OpenAPI for the dialect, made from what each view declares: nothing is guessed, so nothing can be guessed wrong."""

import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ComponentRegistry

from api.postal import authentication
from api.postal.parameters import Flag, Moment, Text, sentences
from api.postal.renderers import CODES, ip_pools_renderer
from api.postal.requests import FORM, JSON
from api.postal.schemas import EVENT, TEXT, Schema, record
from api.problems import SENTENCES, Code

EXAMPLES = Path(__file__).parent / "examples"
SECURITY = "ServerAPIKey"
_METHODS = {"get": "GET", "post": "POST", "delete": "DELETE"}

# Every endpoint may say these, by a status of its own. The page for unknown URLs is no operation's, but is described too.
_BY_STATUS = {
    "404": (Code.UNKNOWN_URL, "There is nothing at this URL"),
    "413": (Code.TOO_LARGE, "The body is larger than 1 MiB"),
    "429": (Code.TOO_MANY, "Too many requests"),
    "500": (Code.CRASH, "A crash, which operators are told of"),
    "503": (Code.UNAVAILABLE, "The database is busy or away"),
}
_RETRIED = {Code.TOO_LARGE, Code.TOO_MANY, Code.UNAVAILABLE}


class PostalSchema(AutoSchema):
    """Describes a PostalView. PUT and PATCH are tolerated and not documented."""

    def get_operation(
        self, path: str, path_regex: str, path_prefix: str, method: str, registry: ComponentRegistry
    ) -> dict[str, Any] | None:
        """Return the operation, or None for a verb that is only tolerated."""
        if method.lower() not in _METHODS:
            return None
        view: Any = self.view
        names = _names_in(path)
        summary, _, description = (inspect.getdoc(view) or "").partition("\n")
        operation: dict[str, Any] = {
            "operationId": f"{path.strip('/').translate(_TO_NAME)}_{method.lower()}",
            "summary": summary.rstrip("."),
            "tags": [view.tag],
            "security": [{SECURITY: []}, *([{}] if _is_key_optional(view) else [])],
            "parameters": [_in_path(name) for name in names],
            "responses": _responses(view),
        }
        if description.strip():
            operation["description"] = description.strip()
        if method.upper() == "GET":
            operation["parameters"] += [_in_query(each) for each in view.parameters]
        else:
            operation["requestBody"] = self.request_body(names)
        return operation

    def request_body(self, names: list[str]) -> Schema:
        """Return what the body may be; `names` are the parameters that the path holds already."""
        return _request_body(self.view, names)


class EventsSchema(PostalSchema):
    """Describes `events`, whose body is no object of parameters."""

    def request_body(self, names: list[str]) -> Schema:
        """Return the three forms of a body."""
        example = {
            "id": "m-1", "type": "sent", "at": "2026-11-21T10:15:30.250Z", "ip": "1.2.3.4",
            "from": "news@example.com", "to": "reader@example.net",
        }  # fmt: skip
        array_or_one = {"anyOf": [{"type": "array", "items": EVENT}, EVENT]}
        return {
            "required": True,
            "content": {
                JSON: {"schema": array_or_one, "example": [example]},
                "application/x-ndjson": {"schema": TEXT, "example": json.dumps(example) + "\n"},
            },
        }


def components() -> dict[str, Any]:
    """Return what operations refer to."""
    responses = {}
    for status, (code, description) in _BY_STATUS.items():
        data = {"code": CODES[code], "message": SENTENCES[code]}
        responses[f"Postal{status}"] = {
            "description": description,
            "content": {JSON: {"schema": error_schema([CODES[code]]), "example": _envelope("error", data)}},
        }
        if code in _RETRIED:
            header = {"description": "Seconds until another try is worth it", "schema": {"type": "integer"}}
            responses[f"Postal{status}"]["headers"] = {"Retry-After": header}
    key = {"type": "apiKey", "in": "header", "name": "X-Server-API-Key", "description": "An API key of a server"}
    return {"responses": responses, "securitySchemes": {SECURITY: key}}


def envelope_schema(status: str, data: Schema) -> Schema:
    """Return the schema of an envelope of this status."""
    return record(
        status={"type": "string", "const": status},
        time={"type": "number", "minimum": 0},
        flags={"type": "object"},
        data=data,
    )


def error_schema(codes: list[str], more: dict[str, Schema] | None = None) -> Schema:
    """Return the schema of a refusal with one of these codes."""
    return envelope_schema("error", record(more, code={"type": "string", "enum": codes}, message=TEXT))


_TO_NAME = str.maketrans({"/": "_", "-": "_", "{": None, "}": None})


def _names_in(path: str) -> list[str]:
    return [part[1:-1] for part in path.split("/") if part.startswith("{")]


def _in_path(name: str) -> Schema:
    return {"in": "path", "name": name, "required": True, "schema": TEXT}


def _in_query(parameter: Any) -> Schema:
    schema = _schema_of(parameter)
    if isinstance(parameter, Flag):
        # A query string has words only.
        schema = schema["anyOf"][1]
    described = {
        "in": "query",
        "name": parameter.name,
        "description": parameter.description,
        "required": parameter.required,
        "schema": schema,
    }
    return described if parameter.default is None else {**described, "schema": {**schema, **_default_of(parameter)}}


def _default_of(parameter: Any) -> Schema:
    if parameter.default is None:
        return {}
    return {"default": str(parameter.default).lower() if isinstance(parameter, Flag) else parameter.default}


def _request_body(view: Any, in_path: list[str]) -> Schema:
    parameters = [each for each in view.parameters if each.name not in in_path]
    properties = {}
    for each in parameters:
        properties[each.name] = {**_in_body(each), "description": each.description}
        if each.default is not None:
            properties[each.name]["default"] = each.default
    required = [each.name for each in parameters if each.required]
    body: Schema = {"type": "object", "properties": properties} | ({"required": required} if required else {})
    example = {each.name: _example_of(each) for each in parameters if each.example is not None or each.required}
    form = {
        "type": "object",
        "properties": {"params": {"type": "string", "description": "The same object, as JSON text"}},
    } | ({"required": ["params"]} if required else {})
    return {
        "required": bool(required),
        "content": {
            JSON: {"schema": body, "example": example},
            FORM: {"schema": form, "example": {"params": json.dumps(example)}},
        },
    }


def _in_body(parameter: Any) -> Schema:
    """Return the schema of a value in JSON, where null counts as absent, except for a flag."""
    schema = _schema_of(parameter)
    if parameter.required or isinstance(parameter, Flag):
        return schema
    if "anyOf" in schema:
        return {"anyOf": [*schema["anyOf"], {"type": "null"}]}
    null: Schema = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
    return {**schema, "type": [schema["type"], "null"], **null}


def _schema_of(parameter: Any) -> Schema:
    """Return the schema of a value: blank text is as good as none, so that what is required has more."""
    schema: Schema = parameter.schema()
    is_text = parameter.required and schema.get("type") == "string" and not {"enum", "pattern"} & schema.keys()
    return {**schema, "pattern": r"\S"} if is_text else schema


def _example_of(parameter: Any) -> object:
    if parameter.example is not None:
        return parameter.example
    return "org-uuid-123" if isinstance(parameter, Text | Moment) else None


def _responses(view: Any) -> Schema:
    refusals = _refusals(view)
    examples = {}
    for name in view.examples:
        examples[name] = {"value": json.loads((EXAMPLES / f"{name}.json").read_text())}
    for code, message in refusals:
        examples.setdefault(f"{code}: {message}", {"value": _envelope("error", {"code": code, "message": message})})
    codes = list(dict.fromkeys(code for code, _ in refusals))
    kinds = [envelope_schema("success", view.data), error_schema(codes, view.error_data)]
    if view.renderer is not ip_pools_renderer:
        kinds.append(envelope_schema("parameter-error", record(message=TEXT)))
        for message in _faults(view):
            examples[f"parameter-error: {message}"] = {"value": _envelope("parameter-error", {"message": message})}
    success = {
        "description": "Success, or a refusal: `status` says which. HTTP says 200 to both.",
        "content": {JSON: {"schema": {"oneOf": kinds}, "examples": examples}},
    }
    return {"200": success} | {status: {"$ref": f"#/components/responses/Postal{status}"} for status in _BY_STATUS}


def _refusals(view: Any) -> list[tuple[str, str]]:
    """Return (code, message) of every refusal by HTTP 200, the page's own first."""
    common = [
        ("AccessDenied", authentication.NO_KEY),
        ("InvalidServerAPIKey", authentication.WRONG_KEY),
        ("ServerSuspended", authentication.SUSPENDED),
        ("MethodNotAllowed", SENTENCES[Code.WRONG_METHOD]),
    ]
    # What a change may run into beside another one.
    races = [
        ("Conflict", "Another request changed the same records; try again"),
        ("NotFound", "The server could not be found"),
        ("ValidationError", SENTENCES[Code.INVALID]),
    ]
    faults = _faults(view) if view.renderer is ip_pools_renderer else []
    return [*view.errors, *(("ParameterError", fault) for fault in faults), *common, *(races if view.is_change else [])]


def _faults(view: Any) -> list[str]:
    """Return every sentence about parameters: those of each, those of several, those of the body."""
    return [*sentences(view.parameters, view.page), *view.faults, "The request's body must be a JSON object"]


def _is_key_optional(view: Any) -> bool:
    return any(issubclass(each, authentication.OptionalServerKey) for each in view.authentication_classes)


def _envelope(status: str, data: Mapping[str, object]) -> dict[str, object]:
    return {"status": status, "time": 0.012, "flags": {}, "data": data}
