"""What the OpenAPI document holds beside the operations, which each dialect's views describe themselves."""

from typing import Any

from django.utils.module_loading import import_string

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
            root = next(
                iter(
                    created["responses"]["200"]["content"]["application/json"]["schema"]["properties"]["data"][
                        "properties"
                    ]
                )
            )
            above = {name: f"$request.path.{name}" for name in _names_in(collection)}
            created["responses"]["200"].setdefault("links", {})[f"{verb}_{root}"] = {
                "operationId": operation["operationId"],
                "parameters": {**above, parameter[1:-1]: f"$response.body#/data/{root}/id"},
            }
    return result


def _names_in(path: str) -> list[str]:
    return [part[1:-1] for part in path.split("/") if part.startswith("{")]


def add_components(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Put the dialects' components into the document; a hook of drf-spectacular."""
    for name in COMPONENTS:
        for kind, entries in import_string(name)().items():
            result.setdefault("components", {}).setdefault(kind, {}).update(entries)
    return result
