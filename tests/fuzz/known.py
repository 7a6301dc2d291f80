"""Records that exist, put where schemathesis would make up ids: otherwise nearly every request ends at a reference to nothing.

Only in requests that are true to the document, and not in all of them: made-up ids must be refused well, too.
"""

import zlib
from typing import Any

# What `fuzz.prepare` and the migrations make, first of all: ids begin with 1.
_OF_GREENARROW: dict[str, Any] = {
    "throttling_template": {"name": "Default"},
    "throttle_program": {"name": "Automatic Backoff"},
    "virtual_mta": {"id": 1},
    "redirect": None,
}
# The first template and the first program are built in, and refuse changes.
_PATH = {"address_id": 1, "template_id": 2, "owner_id": 2, "program_id": 2, "virtual_mta_id": 1, "name": "example.com"}
DOMAIN = "example.com"


def in_path(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters with ids that exist, for three in four of them."""
    if _is_left(parameters):
        return parameters
    return {name: _PATH.get(name, value) for name, value in parameters.items()}


def in_postal(path: str, given: dict[str, Any], organization: str, *, is_linked: bool) -> dict[str, Any]:
    """Return a body or query of Postal's dialect that names the caller's own organization and domain.

    `is_linked`: what the request is about comes from an earlier answer and is left alone.
    """
    if _is_left(given):
        return given
    known: dict[str, Any] = {"organization_uuid": organization, "ip_pool_id": None}
    if not is_linked:
        known["domain_name"] = DOMAIN
        known["uuid"] = organization
        if path.endswith(("domains/delete", "domains/verify", "domains/create")):
            known["name"] = DOMAIN
    if "domain_name" in given:
        given = {name: value for name, value in given.items() if name != "domain_id"}
    return {name: known.get(name, value) for name, value in given.items()}


def in_greenarrow(given: dict[str, Any], *, is_new: bool, number: int) -> dict[str, Any]:
    """Return a body of GreenArrow's dialect whose references lead to records that exist.

    `is_new`: it makes a record, whose name and address become ones that nobody has; `number` counts the requests.
    """
    if _is_left(given):
        return given
    found = _referring(given)
    for record in found.values() if is_new else ():
        if isinstance(record, dict):
            own = {
                "name": f"{record.get('name', '')}"[:150] + f" {number}x",
                "ip": f"10.{number >> 8 & 255}.{number & 255}.7",
            }
            record |= {name: value for name, value in own.items() if name in record}
    return found


def _referring(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: _OF_GREENARROW[name] if name in _OF_GREENARROW else _referring(each) for name, each in value.items()
        }
    return [_referring(each) for each in value] if isinstance(value, list) else value


def _is_left(value: Any) -> bool:
    # By the value itself, so that a seed repeats the run.
    return zlib.crc32(repr(value).encode("utf-8", "surrogatepass")) % 4 == 0
