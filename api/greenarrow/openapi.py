"""OpenAPI for the dialect, made from what each view declares by `operations`."""

import inspect
import re
from dataclasses import dataclass
from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ComponentRegistry

from api.greenarrow.renderers import CODES
from api.greenarrow.schemas import ID, NULL, PAGINATION, TEXT, USED_BY_ROW, Schema, array, record
from api.problems import SENTENCES, STATUSES, Code

JSON = "application/json"
SECURITY = "GreenArrowBasic"

_DESCRIPTIONS = {
    "400": "The request cannot be read: not JSON, no root key, a page or token that is none",
    "401": "Nobody is asking, or nobody we know",
    "403": "The user's API level does not cover this, or the record is built in",
    "404": "There is no such record or URL",
    "405": "The URL does not answer this method",
    "409": "The record is used by others (`data.dependencies`), or its state does not admit this",
    "413": "The body is larger than 1 MiB",
    "422": "The request breaks rules: one sentence for each, with the path of the field",
    "429": "Too many wrong passwords",
    "500": "A crash, which operators are told of",
    "503": "The database or cache is busy or away",
}
_HEADERS: dict[str, tuple[str, Schema]] = {
    "401": ("WWW-Authenticate", {"type": "string"}),
    "413": ("Retry-After", {"type": "integer"}),
    "429": ("Retry-After", {"type": "integer"}),
    "503": ("Retry-After", {"type": "integer"}),
}
_EVERYWHERE = ("400", "401", "403", "404", "405", "413", "429", "500", "503")


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What a verb takes and answers: `data` by key, the body's root key with its schema, parameters of the query."""

    data: dict[str, Schema]
    root: str = ""
    body: Schema | None = None
    query: tuple[Schema, ...] = ()


def in_query(name: str, description: str, schema: Schema, *, is_required: bool = False) -> Schema:
    """Return a parameter of the query string."""
    return {"in": "query", "name": name, "description": description, "required": is_required, "schema": schema}


_PAGES = (
    in_query("page", "From 0", {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}),
    in_query("page_token", "The `next_page_token` of the page before", TEXT),
)


def listing(key: str, row: Schema, *filters: str) -> Operation:
    """Return the operation of a list, with filters that are exact and know no case."""
    query = tuple(in_query(name, "Exact, whatever the case", TEXT) for name in filters)
    return Operation(data={key: array(row, maxItems=100), "pagination": PAGINATION}, query=(*_PAGES, *query))


USED_BY = listing("used_by", USED_BY_ROW)


class GreenArrowSchema(AutoSchema):
    """Describes a GreenArrowView."""

    def get_operation(
        self, path: str, path_regex: str, path_prefix: str, method: str, registry: ComponentRegistry
    ) -> dict[str, Any] | None:
        """Return the operation as the view declares it."""
        verb = method.lower()
        view: Any = self.view
        declared: Operation = view.operations[verb]
        refusals = {*_EVERYWHERE} | ({"409"} if verb != "get" else set()) | ({"422"} if _is_judged(declared) else set())
        tail = path.removeprefix("/ga/api/v3/eng/")
        operation: dict[str, Any] = {
            "operationId": f"greenarrow_{re.sub(r'[{}]', '', tail).replace('/', '_')}_{verb}",
            "summary": (inspect.getdoc(getattr(view, verb)) or "").partition("\n")[0].rstrip("."),
            "tags": [f"GreenArrow: {tail.partition('/')[0].replace('_', ' ')}"],
            "security": [{SECURITY: []}],
            "parameters": [
                {"in": "path", "name": name, "required": True, "schema": ID} for name in re.findall(r"{(\w+)}", path)
            ]
            + list(declared.query),
            "responses": {
                "200": {
                    "description": "Success",
                    "content": {JSON: {"schema": _envelope(record(**declared.data), is_success=True)}},
                }
            }
            | {status: {"$ref": f"#/components/responses/GreenArrow{status}"} for status in sorted(refusals)},
        }
        if declared.body is not None:
            schema = {"type": "object", "properties": {declared.root: declared.body}, "required": [declared.root]}
            operation["requestBody"] = {"required": True, "content": {JSON: {"schema": schema}}}
        return operation


def components() -> dict[str, Any]:
    """Return what operations refer to."""
    responses = {}
    for status, description in _DESCRIPTIONS.items():
        codes = [code for code in Code if str(STATUSES[code]) == status]
        words = sorted({CODES[code] for code in codes})
        example = {
            "success": False,
            "data": None,
            "error_code": words[0],
            "error_messages": [SENTENCES[codes[0]]],
        }
        responses[f"GreenArrow{status}"] = {
            "description": description,
            "content": {JSON: {"schema": _refusal(words, with_dependencies=status == "409"), "example": example}},
        }
        if status in _HEADERS:
            name, schema = _HEADERS[status]
            responses[f"GreenArrow{status}"]["headers"] = {name: {"schema": schema}}
    basic = {"type": "http", "scheme": "basic", "description": "A user's name, with the password or an API token"}
    return {"responses": responses, "securitySchemes": {SECURITY: basic}}


def _is_judged(operation: Operation) -> bool:
    """Whether the operation takes anything that can be well-formed and yet break rules."""
    return operation.body is not None or any(each["required"] for each in operation.query)


def _envelope(data: Schema, *, is_success: bool) -> Schema:
    return record(
        success={"type": "boolean", "const": is_success},
        data=data,
        error_code=NULL if is_success else TEXT,
        error_messages=NULL if is_success else array(TEXT, minItems=1),
    )


def _refusal(words: list[str], *, with_dependencies: bool) -> Schema:
    data: Schema = NULL
    if with_dependencies:
        data = {"anyOf": [NULL, record(dependencies=array(record(type=TEXT, id={"type": "integer"}, name=TEXT)))]}
    envelope = _envelope(data, is_success=False)
    envelope["properties"] = {**envelope["properties"], "error_code": {"type": "string", "enum": words}}
    return envelope
