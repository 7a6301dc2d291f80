"""The OpenAPI operations of the dialect, from its serializers, in Postal's envelope."""

import json
from pathlib import Path
from typing import Any

from drf_spectacular.plumbing import build_object_type, build_parameter_type
from drf_spectacular.utils import Direction

from api.openapi import JSON, DialectSchema, Schema, strict_object
from api.postal import authentication
from api.postal.fields import TEXT, Moment, Parameter, Text
from api.postal.renderers import CODES, ip_pools_renderer
from api.postal.requests import FORM
from api.problems import SENTENCES, Code

EXAMPLES = Path(__file__).parent / "examples"
SECURITY = "ServerAPIKey"

# Every endpoint may say these, by a status of its own. The page for unknown URLs is no operation's, but is described too.
_BY_STATUS = {
    "404": (Code.UNKNOWN_URL, "There is nothing at this URL"),
    "413": (Code.TOO_LARGE, "The body is larger than 1 MiB"),
    "429": (Code.TOO_MANY, "Too many requests"),
    "500": (Code.CRASH, "An internal error, which is logged"),
    "503": (Code.UNAVAILABLE, "The database is busy or away"),
}
_RETRIED = {Code.TOO_LARGE, Code.TOO_MANY, Code.UNAVAILABLE}
_TO_NAME = str.maketrans({"/": "_", "-": "_", "{": None, "}": None})


class PostalSchema(DialectSchema):
    """Describes the actions of a PostalViewSet. PUT and PATCH are tolerated and not documented."""

    dialect = "Postal"
    view: Any

    @property
    def operation(self) -> Any:
        """The action's `api.postal.views.Operation`."""
        return self.action.operation

    @property
    def parameters(self) -> list[Parameter]:
        """The parameters of the action that the path does not hold."""
        return [each for each in self.operation.takes.all if f"{{{each.field_name}}}" not in self.path]

    def is_excluded(self) -> bool:
        return self.method in {"PUT", "PATCH"}

    def get_operation_id(self) -> str:
        return f"{self.path.strip('/').translate(_TO_NAME)}_{self.method.lower()}"

    def get_tags(self) -> list[str]:
        return [self.view.tag]

    def get_auth(self) -> list[Schema]:
        is_optional = authentication.OptionalServerKey in self.view.authentication_classes
        return [{SECURITY: []}, *([{}] if is_optional else [])]

    def _get_parameters(self) -> list[Schema]:
        names = [part[1:-1] for part in self.path.split("/") if part.startswith("{")]
        in_path = [build_parameter_type(name=name, schema=TEXT, location="path") for name in names]
        if self.method != "GET":
            return in_path
        return in_path + [
            build_parameter_type(
                name=str(each.field_name), schema=each.in_query(), location="query", required=each.required,
                description=each.help_text,
            )
            for each in self.parameters
        ]  # fmt: skip

    def _get_request_body(self, direction: Direction = "request") -> Schema | None:
        # DELETE has one too: its parameters.
        if self.method == "GET":
            return None
        if self.operation.takes is None:
            body: Schema = self.operation.body
            return body
        fields = self.parameters
        is_required = any(each.required for each in fields)
        body = self.resolve_serializer(self.operation.takes, direction).ref if fields else {"type": "object"}
        example = {each.field_name: _example_of(each) for each in fields if each.example is not None or each.required}
        params = {"params": {**TEXT, "description": "The same object, as JSON text"}}
        form = build_object_type(params, required=["params"] if is_required else None)
        return {
            "required": is_required,
            "content": {
                JSON: {"schema": body, "example": example},
                FORM: {"schema": form, "example": {"params": json.dumps(example)}},
            },
        }

    def get_response_serializers(self) -> Any:
        return {200: self.operation.answers}

    def _get_response_bodies(self, direction: Direction = "response") -> Schema:
        bodies = super()._get_response_bodies(direction)
        success = bodies["200"]
        success["description"] = "Success, or a refusal: `status` says which. HTTP says 200 to both."
        success["content"][JSON]["examples"] = self._examples()
        return bodies

    def envelope(self, data: Schema) -> Schema:
        """Return the schema of what HTTP says 200 to."""
        more = self.operation.error_data
        beside = self._map_serializer(more, "response")["properties"] if more else {}
        codes = list(dict.fromkeys(code for code, _ in self._refusals()))
        kinds = [envelope_schema("success", data), error_schema(codes, beside)]
        if not self._is_of_pools():
            kinds.append(envelope_schema("parameter-error", strict_object(message=TEXT)))
        return {"oneOf": kinds}

    def refusals(self) -> dict[str, Schema]:
        return {status: {"$ref": f"#/components/responses/Postal{status}"} for status in _BY_STATUS}

    def _is_of_pools(self) -> bool:
        return self.view.renderer is ip_pools_renderer

    def _faults(self) -> list[str]:
        """Return every sentence about parameters: those of each, those of several, those of the body."""
        takes = self.operation.takes
        found = self.operation.faults if takes is None else takes.sentences()
        return [*found, "The request's body must be a JSON object"]

    def _refusals(self) -> list[tuple[str, str]]:
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
        faults = [("ParameterError", fault) for fault in self._faults()] if self._is_of_pools() else []
        return [*self.operation.errors, *faults, *common, *(races if self.operation.is_change else [])]

    def _examples(self) -> Schema:
        route = self.action.url_path.partition("|")[0].strip("/") or self.view.action
        name = f"{self.view.basename}-{route}".replace("_", "-")
        files = sorted((EXAMPLES / f"{name}.json", *EXAMPLES.glob(f"{name}.*.json")), key=lambda each: len(each.stem))
        examples = {each.stem: {"value": json.loads(each.read_text())} for each in files}
        for code, message in self._refusals():
            envelope = _envelope("error", {"code": code, "message": message})
            examples.setdefault(f"{code}: {message}", {"value": envelope})
        if not self._is_of_pools():
            for message in self._faults():
                examples[f"parameter-error: {message}"] = {"value": _envelope("parameter-error", {"message": message})}
        return examples


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
    return strict_object(
        status={"type": "string", "const": status},
        time={"type": "number", "minimum": 0},
        flags={"type": "object"},
        data=data,
    )


def error_schema(codes: list[str], beside: Schema | None = None) -> Schema:
    """Return the schema of a refusal with one of these codes, and what may stand beside code and message."""
    refusal = strict_object(code={"type": "string", "enum": codes}, message=TEXT)
    refusal["properties"] |= beside or {}
    return envelope_schema("error", refusal)


def _example_of(parameter: Parameter) -> object:
    if parameter.example is not None:
        return parameter.example
    return "org-uuid-123" if isinstance(parameter, Text | Moment) else None


def _envelope(status: str, data: dict[str, Any]) -> dict[str, object]:
    return {"status": status, "time": 0.012, "flags": {}, "data": data}
