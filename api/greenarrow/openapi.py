"""The OpenAPI operations of the dialect's viewsets, from their serializers."""

import re
from collections.abc import Mapping
from typing import Any

from drf_spectacular.plumbing import build_object_type
from drf_spectacular.utils import Direction, OpenApiResponse

from api.greenarrow.fields import NULL, TEXT, Described, nullable
from api.greenarrow.reading import Records
from api.greenarrow.renderers import CODES
from api.openapi import JSON, DialectSchema, Schema, strict_object
from api.problems import SENTENCES, STATUSES, Code
from core.references import HIGHEST_ID

SECURITY = "GreenArrowBasic"
ID: Schema = {"type": "integer", "minimum": 1, "maximum": HIGHEST_ID}

_DESCRIPTIONS = {
    "400": "The request cannot be read: not JSON, no root key, an invalid page or page token",
    "401": "No credentials, or wrong ones",
    "403": "The user's API level does not cover this, or the record is built in",
    "404": "There is no such record or URL",
    "405": "The URL does not answer this method",
    "409": "The record is used by others (`data.dependencies`), or its state does not admit this",
    "413": "The body is larger than 1 MiB",
    "422": "The request breaks rules: one sentence for each, with the path of the field",
    "429": "Too many wrong passwords",
    "500": "An internal error, which is logged",
    "503": "The database or cache is busy or away",
}
_HEADERS: dict[str, tuple[str, Schema]] = {
    "401": ("WWW-Authenticate", {"type": "string"}),
    "413": ("Retry-After", {"type": "integer"}),
    "429": ("Retry-After", {"type": "integer"}),
    "503": ("Retry-After", {"type": "integer"}),
}
_ROWS: Schema = {"type": "array", "items": strict_object(type=TEXT, id={"type": "integer"}, name=TEXT)}
_DEPENDENCIES = nullable(strict_object(dependencies=_ROWS))
_EVERYWHERE = {"400", "401", "403", "404", "405", "413", "429", "500", "503"}


class GreenArrowSchema(DialectSchema):
    """Describes an action of a GreenArrowViewSet."""

    dialect = "GreenArrow"

    # The viewset, which says what its actions take and answer.
    view: Any

    def envelope(self, data: Schema) -> Schema:
        return _envelope(data)

    def refusals(self) -> dict[str, Schema]:
        """Return the refusals: what changes may conflict, and what takes more than an id may be invalid."""
        statuses = set(_EVERYWHERE)
        if self.method != "GET":
            statuses.add("409")
        if self.method in ("POST", "PUT") or any(each.get("required") for each in self._asked()):
            statuses.add("422")
        return {status: {"$ref": f"#/components/responses/GreenArrow{status}"} for status in sorted(statuses)}

    def get_operation_id(self) -> str:
        tail = re.sub(r"[{}]", "", self._tail).replace("/", "_")
        return f"greenarrow_{tail}_{self.method.lower()}"

    def get_tags(self) -> list[str]:
        return [f"GreenArrow: {self._tail.partition('/')[0].replace('_', ' ')}"]

    def get_auth(self) -> list[Schema]:
        return [{SECURITY: []}]

    def _get_request_body(self, direction: Direction = "request") -> Schema | None:
        body = self.view.bodies.get(self.view.action)
        if body is None:
            return None
        schema = build_object_type(self._schemas_of(body, direction), required=body)
        return {"content": {JSON: {"schema": schema}}, "required": True}

    def get_response_serializers(self) -> Any:
        data = strict_object(**self._schemas_of(self.view.answers[self.view.action], "response"))
        return {200: OpenApiResponse(data, "Success")}

    def _schemas_of(self, held: Mapping[str, Any], direction: Direction) -> Schema:
        return {key: self._schema_of(each, direction) for key, each in held.items()}

    def _schema_of(self, shown: Any, direction: Direction) -> Schema:
        if isinstance(shown, Described):
            return shown.schema(direction)
        if isinstance(shown, Records):
            schema: Schema = {"type": "array", "items": self._schema_of(shown.child, direction)}
            if shown.max_length is not None:
                schema["maxItems"] = shown.max_length
            return schema if shown.allow_empty else {**schema, "minItems": 1}
        schema = self.resolve_serializer(shown, direction).ref
        return nullable(schema) if shown.allow_null else schema

    def _get_parameters(self) -> list[Schema]:
        in_path = [
            {"in": "path", "name": name, "required": True, "schema": ID} for name in re.findall(r"{(\w+)}", self.path)
        ]
        return in_path + self._asked()

    def _asked(self) -> list[Schema]:
        parameters: list[Schema] = []
        if "pagination" in self.view.answers[self.view.action]:
            parameters += [
                in_query("page", "From 0", {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}),
                in_query("page_token", "The `next_page_token` of the page before", TEXT),
            ]
            parameters += [in_query(name, "Exact, whatever the case", TEXT) for name in self.view.filter_names()]
        declared: Any = self.get_override_parameters()
        return parameters + [
            in_query(each.name, each.description, each.type, is_required=each.required) for each in declared
        ]

    @property
    def _tail(self) -> str:
        return self.path.removeprefix("/ga/api/v3/eng/")

    def _map_serializer_field(self, field: Any, direction: Direction, bypass_extensions: bool = False) -> Schema:  # noqa: FBT001, FBT002 - drf-spectacular's signature
        if isinstance(field, Described | Records):
            return self._schema_of(field, direction)
        schema: Schema = super()._map_serializer_field(field, direction, bypass_extensions)
        return schema

    def _map_serializer(self, serializer: Any, direction: Direction, bypass_extensions: bool = False) -> Schema:  # noqa: FBT001, FBT002 - drf-spectacular's signature
        schema: Schema = super()._map_serializer(serializer, direction, bypass_extensions)
        # A change leaves the fields that it does not name as they are, so nothing holds between those that it does.
        return schema if serializer.partial else {**schema, **serializer.schema_rules}


def in_query(name: str, description: str, schema: Schema, *, is_required: bool = False) -> Schema:
    """Return a parameter of the query string."""
    return {"in": "query", "name": name, "description": description, "required": is_required, "schema": schema}


def components() -> dict[str, Any]:
    """Return what operations refer to."""
    responses = {}
    for status, description in _DESCRIPTIONS.items():
        codes = [code for code in Code if str(STATUSES[code]) == status]
        words = sorted({CODES[code] for code in codes})
        example = {"success": False, "data": None, "error_code": words[0], "error_messages": [SENTENCES[codes[0]]]}
        responses[f"GreenArrow{status}"] = {
            "description": description,
            "content": {
                JSON: {"schema": _envelope(_DEPENDENCIES if status == "409" else NULL, words), "example": example}
            },
        }
        if status in _HEADERS:
            name, schema = _HEADERS[status]
            responses[f"GreenArrow{status}"]["headers"] = {name: {"schema": schema}}
    basic = {"type": "http", "scheme": "basic", "description": "A user's name, with the password or an API token"}
    return {"responses": responses, "securitySchemes": {SECURITY: basic}}


def _envelope(data: Schema, refused: list[str] | None = None) -> Schema:
    """Return the schema of a success or, with error codes, of a refusal."""
    return strict_object(
        success={"type": "boolean", "const": refused is None},
        data=data,
        error_code=NULL if refused is None else {"type": "string", "enum": refused},
        error_messages=NULL if refused is None else {"type": "array", "items": TEXT, "minItems": 1},
    )
