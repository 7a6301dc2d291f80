"""What schemathesis must know of the dialects: its hooks, loaded by `python -m tests.fuzz.schemas`.

Postal's dialect answers refusals with HTTP 200 and tells them apart by `status` in the envelope; schemathesis's checks read
the HTTP status. So both sides are translated, and every check stays on: a refusal's HTTP status becomes the one that its code
means (`STATUS_OF`), and the document promises it under that status, with the schema that it has under 200. What was promised
for a success is then held against successes only, and a wrong key, a wrong verb and a wrong value must each be refused as such.
"""

import base64
import copy
import json
import os
import re
from typing import Any
from urllib.parse import urlsplit

import orjson
import requests
import schemathesis
from jsonschema_rs import Draft202012Validator
from schemathesis.core.failures import AcceptedNegativeData, Failure
from schemathesis.generation.meta import TestPhase
from schemathesis.openapi.checks import AllowHeaderMismatch, IgnoredAuth, RejectedPositiveData

from tests.fuzz import judge, known
from tests.fuzz.cast import CAST, Tenant
from tests.fuzz.mutate import Request
from tests.fuzz.prepare import USER
from tests.fuzz.transport import Answer

POSTAL = "/api/v1/"
FORM, LINES = "application/x-www-form-urlencoded", "application/x-ndjson"
# The word of Postal's envelope → what HTTP would say. Any other code is a rule about records: a conflict with their state.
STATUS_OF = {
    "AccessDenied": 401,
    "InvalidServerAPIKey": 401,
    "ServerSuspended": 403,
    "MethodNotAllowed": 405,
    "ParameterError": 422,
    "ValidationError": 422,
    "NotFound": 404,
    "InvalidOrganization": 404,
    "InvalidServer": 404,
    "InvalidDomain": 404,
}
PARAMETER_ERROR, OTHER = 422, 409
NAMES = {401: "refused", 403: "refused", 404: "unknown", 405: "wrong verb", 409: "conflict", 422: "invalid"}

# What JSON Schema has no word for: a request true to the schema may be refused by these, and by nothing else.
RULES_BEYOND_SCHEMAS = {
    r"does not exist|could not be found|is not a pool of this organization": "a reference to a record",
    r"has already been taken|only once|twice|must be unique": "uniqueness",
    r"built-in|default throttling template cannot": "records that are the platform's own",
    r"at least one letter or digit": "Unicode's classes of characters",
    r"is not a (valid )?domain|is not a host ?name|must be a domain|DMARC record": "IDNA's labels, DMARC's grammar",
    r"must be an e-mail address": "the grammar of addresses, of which `format` is a hint",
    r"NUL|not valid JSON|control characters": "characters that JSON Schema cannot exclude",
    r"start_date must be before|page and page_token": "two parameters in relation",
    r"(organization_uuid|domain_name) is required": "one of two names of one parameter",
    r"must be in the future|from the year 1970": "an end's relation to now, and to the calendar of each time zone",
    r"addresses is required": "a query string's blank text, which says nothing",
    r"(per_page|limit) must be|(top_pools_limit|ip_pool_id|page) is invalid": "a number's range, where it is written as text",
    r"too long": "a length after normalisation",
    r"redirect": "loops",
    r"more than \d+ rules|at most \d+ throttling rules": "a sum with the rules that are there already",
    r"must have a failure_rate or a deferral_rate|at most 100 with mode percent": "what a change leaves as it is",
    r"is not a token of this list": "tokens, which are opaque",
    r"Invalid date format": "the calendar",
    r"(custom_mx_records|addresses|ips) is invalid": "JSON as text",
    r"must be (null or )?an integer": "1.0, an integer to JSON Schema and a float to us",
}
BEYOND = re.compile("|".join(RULES_BEYOND_SCHEMAS))


class _Cast:
    """The two tenants' keys, the second taking turns with the first, and the token."""

    def __init__(self) -> None:
        told = json.loads(os.environ[CAST])
        self.url: str = told["url"]
        self.token: str = told["token"]
        self.tenants = [Tenant(**each) for each in told["tenants"]]
        self.turns = 0
        self.made = 0
        self.requests = 0

    def key(self) -> str:
        self.turns += 1
        return self.tenants[self.turns % 3 == 0].key

    def replace(self, key: str | bytes | None) -> None:
        """Give a tenant another server, where the one of this key was deleted."""
        for index, tenant in enumerate(self.tenants):
            if tenant.key == key:
                self.made += 1
                self.tenants[index] = tenant.with_new_server(self.url, f"After a deletion {self.made}")


CAST_OF_RUN = _Cast()


@schemathesis.auth(refresh_interval=None)
class Keys:
    """Each dialect's credential, told apart by the path."""

    def get(self, case: schemathesis.Case, context: schemathesis.AuthContext) -> tuple[str, str]:
        if context.operation.path.startswith(POSTAL):
            return "X-Server-API-Key", CAST_OF_RUN.key()
        pair = f"{USER}:{CAST_OF_RUN.token}".encode()
        return "Authorization", "Basic " + base64.b64encode(pair).decode()

    def set(self, case: schemathesis.Case, data: tuple[str, str], context: schemathesis.AuthContext) -> None:
        case.headers[data[0]] = data[1]


@schemathesis.hook
def before_load_schema(context: schemathesis.HookContext, raw_schema: dict[str, Any]) -> None:
    """Promise each kind of Postal's refusals under the status that `translated` gives it."""
    for path, operations in raw_schema["paths"].items():
        if not path.startswith(POSTAL):
            continue
        for operation in operations.values():
            content = operation["responses"]["200"]["content"]["application/json"]
            success, *refusals = content["schema"]["oneOf"]
            content["schema"] = success
            content.pop("examples", None)
            for status, name in NAMES.items():
                if str(status) in operation["responses"]:
                    known = operation["responses"][str(status)]
                    target = raw_schema["components"]["responses"][known["$ref"].rpartition("/")[2]]
                    known = copy.deepcopy(target)
                    described = known["content"]["application/json"]
                    described.pop("example", None)
                    described["schema"] = {"anyOf": [described["schema"], *copy.deepcopy(refusals)]}
                    operation["responses"][str(status)] = known
                else:
                    described = {"schema": {"oneOf": copy.deepcopy(refusals)}}
                    operation["responses"][str(status)] = {
                        "description": name,
                        "content": {"application/json": described},
                    }


def translated(response: requests.Response, *arguments: Any, **more: Any) -> schemathesis.Response:
    """Say Postal's refusals by HTTP's statuses, and replace a key whose server was just deleted."""
    path = urlsplit(response.request.url or "").path
    if str(path).startswith(POSTAL) and response.status_code == 200 and response.request.method != "HEAD":
        envelope = orjson.loads(response.content)
        match envelope["status"]:
            case "parameter-error":
                response.status_code = PARAMETER_ERROR
            case "error":
                response.status_code = STATUS_OF.get(envelope["data"]["code"], OTHER)
            case "success" if path == f"{POSTAL}servers/delete":
                CAST_OF_RUN.replace(response.request.headers.get("X-Server-API-Key"))
    return _read(response, *arguments, **more)


# Not by the hook `after_call`: the checks on authentication send requests of their own, which no hook sees.
_read = schemathesis.Response.from_requests
schemathesis.Response.from_requests = translated  # type: ignore[method-assign]


@schemathesis.hook
def filter_headers(context: schemathesis.HookContext, headers: dict[str, Any]) -> bool:
    """Leave out headers that make the bytes no request: gunicorn answers those, before any dialect is known."""
    return not {name.title() for name in headers or ()} & judge.NO_HTTP


@schemathesis.hook
def map_case(context: schemathesis.HookContext, case: schemathesis.Case) -> schemathesis.Case:
    """Let most requests that are true to the document name records that exist (`fuzz.known`)."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return case
    is_linked = case.meta.phase.name is TestPhase.STATEFUL
    if case.path_parameters and not is_linked:
        case.path_parameters = known.in_path(dict(case.path_parameters))
    if not case.path.startswith(POSTAL):
        if isinstance(case.body, dict):
            CAST_OF_RUN.requests += 1
            case.body = known.in_greenarrow(
                case.body, is_new=case.method.upper() == "POST", number=CAST_OF_RUN.requests
            )
        return case
    organization = CAST_OF_RUN.tenants[0].organization
    if isinstance(case.body, dict) and case.media_type not in (FORM, LINES):
        case.body = known.in_postal(case.path, case.body, organization, is_linked=is_linked)
    if case.query:
        case.query = known.in_postal(case.path, dict(case.query), organization, is_linked=is_linked)
    return case


@schemathesis.serializer(LINES)
def lines(context: schemathesis.SerializationContext, value: Any) -> bytes:
    """A stream of records, which the document shows as text."""
    return (value if isinstance(value, str) else json.dumps(value)).encode("utf-8", "surrogatepass")


@schemathesis.hook
def filter_failure(
    context: schemathesis.HookContext, failure: Failure, case: schemathesis.Case, response: schemathesis.Response
) -> bool:
    """Let pass what the contract makes impossible, each with its reason; everything else stands."""
    if isinstance(failure, IgnoredAuth) and "got `429" in failure.message:
        # Whoever tries wrong passwords, as this check does, is locked out: that enforces it too.
        return False
    if isinstance(failure, RejectedPositiveData):
        if response.status_code == 401 and case.path == f"{POSTAL}servers/delete":
            # A server's key dies with it; the next case may have been made before that.
            return False
        # A form's `params` is JSON text, and so is a line: OpenAPI cannot look into them.
        return case.media_type not in (FORM, LINES) and not all(
            BEYOND.search(sentence) for sentence in _sentences(response)
        )
    if isinstance(failure, AcceptedNegativeData):
        return not (_is_absent_by_contract(case) or _is_blank(case, response) or _is_refused_within(response))
    if isinstance(failure, AllowHeaderMismatch) and case.path.startswith(POSTAL):
        # PUT and PATCH are tolerated for changes, for clients that always used them, and documented to nobody.
        return bool(failure.missing_methods or set(failure.undocumented_methods) - {"PUT", "PATCH"})
    return True


@schemathesis.check
def dialect(ctx: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case) -> None:
    """Every answer is one that its dialect may give, whatever was sent; the rules are `fuzz.judge`'s."""
    method, target = response.request.method or "", response.request.path_url
    status = response.status_code
    if (
        target.startswith(POSTAL)
        and status in NAMES
        and orjson.loads(response.content)["data"].get("code") != "NotFound"
    ):
        status = 200
    verdict = judge.judge(Request(method, target), Answer(status, {}, response.content))
    assert verdict.fault is None, verdict.fault


def _sentences(response: schemathesis.Response) -> list[str]:
    envelope = orjson.loads(response.content)
    return envelope.get("error_messages") or [envelope["data"]["message"]]


def _is_refused_within(response: schemathesis.Response) -> bool:
    """Whether it is a batch of events: the answer's data refuses each bad one, and of an ignored one no field is read."""
    data = orjson.loads(response.content).get("data", {})
    return bool(data.get("refused") or data.get("ignored"))


def _is_blank(case: schemathesis.Case, response: schemathesis.Response) -> bool:
    """Whether the bytes are nothing but white space, which in Postal's dialect is a body that was not sent."""
    sent = response.request.body
    return case.path.startswith(POSTAL) and isinstance(sent, bytes | str) and not sent.strip()


def _is_absent_by_contract(case: schemathesis.Case) -> bool:
    """Whether what breaks the schema is only blank text, which in Postal's dialect stands for a parameter not given."""
    if not case.path.startswith(POSTAL):
        return False
    if not isinstance(case.body, dict):
        return any(isinstance(each, str) and not each.strip() for each in (case.query or {}).values())
    body = {name: value for name, value in case.body.items() if not (isinstance(value, str) and not value.strip())}
    if body == case.body:
        return False
    described = case.operation.get_body_for_media_type(case.media_type)
    return described is not None and Draft202012Validator(described.optimized_schema).is_valid(body)
