"""The OpenAPI document: what the operations of both dialects share, and links between operations."""

import inspect
import re
from typing import Any

from django.utils.module_loading import import_string
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import Direction

type Schema = dict[str, Any]

JSON = "application/json"


def strict_object(**properties: Schema) -> Schema:
    """Return the schema of an object that has all of these and nothing else."""
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


class DialectSchema(AutoSchema):
    """Describes the actions of a viewset by their serializers and `@extend_schema`.

    A dialect adds its envelope (`envelope`), its refusals (`refusals`) and its credentials (`get_auth`). Serializers that
    answer are strict: an answer never holds more than they name.
    """

    # What the dialect's components are called by, so that two dialects' do not collide.
    dialect: str

    def envelope(self, data: Schema) -> Schema:
        """Return the schema of a success whose data has this schema."""
        raise NotImplementedError

    def refusals(self) -> dict[str, Schema]:
        """Return the responses that refuse, by HTTP status."""
        raise NotImplementedError

    @property
    def action(self) -> Any:
        """The method that the operation calls."""
        return getattr(self.view, getattr(self.view, "action", None) or self.method.lower())

    def get_summary(self) -> str:
        """The first line of the action's docstring."""
        return (inspect.getdoc(self.action) or "").partition("\n")[0].rstrip(".")

    def get_description(self) -> str:  # type: ignore[override]  # As drf-spectacular itself has it.
        """The rest of it."""
        return (inspect.getdoc(self.action) or "").partition("\n")[2].strip()

    def _is_list_view(self, serializer: Any = None) -> bool:
        # Lists are told of as they are, with their pagination: nothing is guessed from an action's name.
        return False

    def get_serializer_name(self, serializer: Any, direction: Direction) -> str:
        """The name of its class without "Serializer", behind the dialect's."""
        return self.dialect + type(serializer).__name__.removesuffix("Serializer")

    def _get_response_bodies(self, direction: Direction = "response") -> Schema:
        bodies: Schema = super()._get_response_bodies(direction)
        for response in bodies.values():
            for media in response.get("content", {}).values():
                media["schema"] = self.envelope(media["schema"])
        return bodies | self.refusals()

    def _postprocess_serializer_schema(self, schema: Schema, serializer: Any, direction: Direction) -> Schema:
        schema = super()._postprocess_serializer_schema(schema, serializer, direction)
        if not type(serializer).__doc__:
            # That of a base, which speaks to us and not to callers.
            schema.pop("description", None)
        if direction == "response" and schema.get("type") == "object":
            schema["additionalProperties"] = False
        return schema


# Each returns the components (schemas, responses, security schemes) that its dialect's operations refer to.
COMPONENTS = ("api.postal.openapi.components", "api.greenarrow.openapi.components")


# Postal's dialect: an answer holds what the next request asks for: from the operation, by which expression, to which ones.
_POSTAL = "/api/v1/"
_POSTAL_LINKS = {
    ("servers/create", "$response.body#/data/server/uuid"): {"servers/show": "server_id"},
    ("servers/create", "$response.body#/data/server/organization/uuid"): {"organizations/show": "uuid"},
    ("organizations/list", "$response.body#/data/organizations/0/uuid"): {"organizations/statistics": "uuid"},
    ("domains/create", "$response.body#/data/domain/name"): {
        "domains/verify": "name",
        "domains/dns_records": "domain_name",
        "domains/delete": "name",
    },
}


def add_links(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Say which answer leads to which request: create to show, update and delete; a hook of drf-spectacular."""
    paths = result["paths"]
    for (source, expression), targets in _POSTAL_LINKS.items():
        links = {
            target.replace("/", "_"): {
                "operationId": paths[_POSTAL + target]["post"]["operationId"],
                "requestBody": {name: expression},
            }
            for target, name in targets.items()
        }
        paths[_POSTAL + source]["post"]["responses"]["200"].setdefault("links", {}).update(links)
    for path, operations in paths.items():
        for verb, operation in operations.items():
            collection, _slash, parameter = path.rpartition("/")
            # GreenArrow's dialect: what one POSTs to a collection is then found below it.
            if not parameter.startswith("{") or path.startswith(_POSTAL) or "post" not in paths.get(collection, {}):
                continue
            created = paths[collection]["post"]
            data = created["responses"]["200"]["content"][JSON]["schema"]["properties"]["data"]
            root = next(iter(data["properties"]))
            above = {name: f"$request.path.{name}" for name in re.findall(r"{(\w+)}", collection)}
            created["responses"]["200"].setdefault("links", {})[f"{verb}_{root}"] = {
                "operationId": operation["operationId"],
                "parameters": {**above, parameter[1:-1]: f"$response.body#/data/{root}/id"},
            }
    return result


def add_components(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Put the dialects' components into the document; a hook of drf-spectacular."""
    for name in COMPONENTS:
        for kind, entries in import_string(name)().items():
            result.setdefault("components", {}).setdefault(kind, {}).update(entries)
    return result
