"""A real answer, held against what the OpenAPI document says of it."""

from typing import Any

import jsonschema_rs


def validator(
    operation: dict[str, Any], status: int, components: dict[str, Any], *, with_formats: bool = True
) -> jsonschema_rs.Draft202012Validator:
    """Return the validator of an operation's answer with this status."""
    response = operation["responses"][str(status)]
    if "$ref" in response:
        response = components["responses"][response["$ref"].rpartition("/")[2]]
    return schema_validator(response["content"]["application/json"]["schema"], components, with_formats=with_formats)


def schema_validator(
    schema: dict[str, Any], components: dict[str, Any], *, with_formats: bool = True
) -> jsonschema_rs.Draft202012Validator:
    """Return the validator of a schema that may refer to the document's components."""
    return jsonschema_rs.Draft202012Validator(schema | {"components": components}, validate_formats=with_formats)
