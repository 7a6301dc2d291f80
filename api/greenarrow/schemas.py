"""JSON Schema of what the dialect takes and answers. Answers are strict: nothing beside what is named here is ever sent."""

from typing import Any

from core.references import HIGHEST_ID
from throttling.models.rule_set import HIGHEST_LIMIT

type Schema = dict[str, Any]


def record(**properties: Schema) -> Schema:
    """Return an object with exactly these properties."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def given(required: tuple[str, ...] = (), /, **properties: Schema) -> Schema:
    """Return an object of which only some properties must be given; what is not named is ignored."""
    return {"type": "object", "properties": properties} | ({"required": list(required)} if required else {})


def array(items: Schema, **more: Any) -> Schema:
    """Return a list of such items."""
    return {"type": "array", "items": items, **more}


def nullable(schema: Schema) -> Schema:
    """Return the same, or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def choice(*values: str) -> Schema:
    """Return one of these words."""
    return {"type": "string", "enum": list(values)}


NULL: Schema = {"type": "null"}
TEXT: Schema = {"type": "string"}
BOOLEAN: Schema = {"type": "boolean"}
ID: Schema = {"type": "integer", "minimum": 1, "maximum": HIGHEST_ID}
COUNT: Schema = {"type": "integer", "minimum": 0}
LIMIT: Schema = {"type": "integer", "minimum": 0, "maximum": HIGHEST_LIMIT, "description": "0 is unlimited"}
POSITIVE: Schema = {"type": "integer", "minimum": 1, "maximum": HIGHEST_LIMIT}
RATE: Schema = {"type": ["integer", "null"], "minimum": 1, "maximum": 100}
NAME: Schema = {"type": "string", "minLength": 1, "maxLength": 200}
# Of a VirtualMTA: ASCII without comma, pound and at-sign, no space at either end, and no integer.
MTA_NAME: Schema = {**NAME, "pattern": r"^(?![+-]?[0-9]+$)(?! )[ !\"$-+\--?A-~]*[!\"$-+\--?A-~]$"}
_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"
HOSTNAME: Schema = {**NAME, "pattern": rf"^{_LABEL}(\.{_LABEL})*$"}
IPV4: Schema = {"type": "string", "format": "ipv4"}
PORT: Schema = {"type": "integer", "minimum": 1, "maximum": 65535}
RANDOMIZATION = choice("random", "message_constant", "email_address_constant")
KIND = choice("ip_address", "relay_server", "routing_rule")
SIDE = choice("ip_address", "throttling_template")
DOMAINS = array(
    {**TEXT, "examples": ["example.com", "*.example.com", "[*.]example.com"]},
    minItems=1,
    description="`*.` is for all subdomains, `[*.]` for the domain and its subdomains",
)
REFERENCE: Schema = {
    "type": "object",
    "properties": {"id": {"type": ["integer", "string", "null"]}, "name": {"type": ["string", "null"]}},
    "anyOf": [
        {"properties": {"id": {"type": ["integer", "string"]}}, "required": ["id"]},
        {"properties": {"name": {"type": "string"}}, "required": ["name"]},
    ],
    "description": "By id or by name, whatever its case; the id wins, and a null id counts as absent",
}

# --- What lists have in common -----------------------------------------------------------------------------------------

PAGINATION = record(
    page=COUNT,
    per_page=COUNT,
    num_pages=COUNT,
    num_records=COUNT,
    next_page_token={"type": ["string", "null"], "description": "null on the last page"},
)
LIST_ROW = record(id=ID, name=TEXT)
VIRTUAL_MTA = record(type=KIND, id=ID, name=TEXT)
USED_BY_ROW = record(
    type=choice("ip_address", "relay_server", "routing_rule", "ip_pool", "throttling_template"), id=ID, name=TEXT
)

# --- Rules and their limits --------------------------------------------------------------------------------------------

LIMITS = record(max_concurrent_connections=LIMIT, max_messages_per_hour=LIMIT)
OPEN_LIMITS = record(max_concurrent_connections=nullable(LIMIT), max_messages_per_hour=nullable(LIMIT))
THROTTLING_RULE = record(
    id=ID,
    domains=DOMAINS,
    max_concurrent_connections=LIMIT,
    max_messages_per_hour=LIMIT,
    throttle_program=nullable(LIST_ROW),
)
_RULE = {
    "domains": DOMAINS,
    "max_concurrent_connections": LIMIT,
    "max_messages_per_hour": LIMIT,
    "throttle_program": nullable(REFERENCE),
}
THROTTLING_RULE_NEW = given(("domains", "max_concurrent_connections", "max_messages_per_hour"), **_RULE)
THROTTLING_RULE_CHANGE = given(**_RULE)
RULES = array(THROTTLING_RULE, maxItems=250)
RULES_NEW = array(THROTTLING_RULE_NEW, maxItems=250)
# Refused, whatever it holds, where other unknown parameters are ignored.
NOT_ON_AN_UPDATE: Schema = {
    "not": {},
    "description": "Not on an update: `rules_new` adds rules, and the rules' own URLs change or delete them",
}
ON_AN_UPDATE_ONLY: Schema = {"not": {}, "description": "On an update only"}
_LIMITS = {"max_concurrent_connections": LIMIT, "max_messages_per_hour": LIMIT}
_OPEN_LIMITS = {"max_concurrent_connections": nullable(LIMIT), "max_messages_per_hour": nullable(LIMIT)}

# --- Records -----------------------------------------------------------------------------------------------------------

IP_ADDRESS = record(
    id=ID,
    name=TEXT,
    ip=IPV4,
    hostname=TEXT,
    redirect=nullable(VIRTUAL_MTA),
    throttling_template=LIST_ROW,
    rules=RULES,
    default=OPEN_LIMITS,
    delivery_paused=BOOLEAN,
)
_ADDRESS = {
    "name": MTA_NAME,
    "ip": IPV4,
    "hostname": HOSTNAME,
    "redirect": nullable(REFERENCE),
    "throttling_template": REFERENCE,
    "default": given(**_OPEN_LIMITS),
    "delivery_paused": BOOLEAN,
}
IP_ADDRESS_NEW = given(
    ("name", "ip", "hostname", "throttling_template"), **_ADDRESS, rules=RULES_NEW, rules_new=ON_AN_UPDATE_ONLY
)
IP_ADDRESS_CHANGE = given(**_ADDRESS, rules=NOT_ON_AN_UPDATE, rules_new=RULES_NEW)

THROTTLING_TEMPLATE = record(id=ID, name=TEXT, rules=RULES, default=LIMITS)
THROTTLING_TEMPLATE_NEW = given(
    ("name", "default"),
    name=NAME,
    default=given(("max_concurrent_connections", "max_messages_per_hour"), **_LIMITS),
    rules=RULES_NEW,
    rules_new=ON_AN_UPDATE_ONLY,
)
THROTTLING_TEMPLATE_CHANGE = given(name=NAME, default=given(**_LIMITS), rules=NOT_ON_AN_UPDATE, rules_new=RULES_NEW)

_VALUE = record(mode=choice("percent", "fixed"), value=POSITIVE)
_BACKOFF = record(max_concurrent_connections=_VALUE, max_messages_per_hour=_VALUE, return_after=POSITIVE)
# What is written may hold more, which is ignored.
_VALUE_NEW = given(("mode", "value"), **_VALUE["properties"])
_BACKOFF_NEW = given(
    ("max_concurrent_connections", "max_messages_per_hour", "return_after"),
    max_concurrent_connections=_VALUE_NEW,
    max_messages_per_hour=_VALUE_NEW,
    return_after=POSITIVE,
)
_VALUE_CHANGE = given(mode=choice("percent", "fixed"), value=POSITIVE)
_SET_RATE: Schema = {**RATE, "type": "integer"}
_TRIGGERS = given(failure_rate=RATE, deferral_rate=RATE)
_TRIGGERS_NEW = _TRIGGERS | {
    "anyOf": [
        {"properties": {"failure_rate": _SET_RATE}, "required": ["failure_rate"]},
        {"properties": {"deferral_rate": _SET_RATE}, "required": ["deferral_rate"]},
    ]
}
THROTTLE_PROGRAM = record(
    id=ID, name=TEXT, builtin=BOOLEAN, backoff=_BACKOFF, triggers=record(failure_rate=RATE, deferral_rate=RATE)
)
THROTTLE_PROGRAM_NEW = given(("name", "backoff", "triggers"), name=NAME, backoff=_BACKOFF_NEW, triggers=_TRIGGERS_NEW)
THROTTLE_PROGRAM_CHANGE = given(
    name=NAME,
    backoff=given(max_concurrent_connections=_VALUE_CHANGE, max_messages_per_hour=_VALUE_CHANGE, return_after=POSITIVE),
    triggers=_TRIGGERS,
)

_PASSWORD_READ: Schema = {"type": "null", "description": "Never read back"}
_PASSWORD: Schema = {"type": ["string", "null"], "writeOnly": True, "description": 'null keeps it, "" takes it away'}
RELAY_SERVER = record(
    id=ID,
    name=TEXT,
    source_ip=record(ip=IPV4, hostname=TEXT),
    destination=record(hostname=TEXT, port=PORT, username=nullable(TEXT), password=_PASSWORD_READ),
    throttle_limits=LIMITS,
    redirect=nullable(VIRTUAL_MTA),
)
_DESTINATION = {"hostname": HOSTNAME, "port": PORT, "username": nullable(TEXT), "password": _PASSWORD}
RELAY_SERVER_NEW = given(
    ("name", "source_ip", "destination", "throttle_limits"),
    name=MTA_NAME,
    source_ip=given(("ip", "hostname"), ip=IPV4, hostname=HOSTNAME),
    destination=given(("hostname", "port"), **_DESTINATION),
    throttle_limits=given(("max_concurrent_connections", "max_messages_per_hour"), **_LIMITS),
    redirect=nullable(REFERENCE),
)
RELAY_SERVER_CHANGE = given(
    name=MTA_NAME,
    source_ip=given(ip=IPV4, hostname=HOSTNAME),
    destination=given(**_DESTINATION),
    throttle_limits=given(**_LIMITS),
    redirect=nullable(REFERENCE),
)

_PORTION: Schema = {"type": "number", "minimum": 0.0001, "maximum": 99_999_999, "description": "A weight"}
_THROUGH = array(record(virtual_mta=VIRTUAL_MTA, portion_of_mail=_PORTION))
_THROUGH_NEW = array(
    given(("virtual_mta", "portion_of_mail"), virtual_mta=REFERENCE, portion_of_mail=_PORTION), minItems=1
)
_BRANCH = {"randomization_type": RANDOMIZATION, "deliver_through": _THROUGH_NEW}
_OVERRIDES = array(given(("domains", "randomization_type", "deliver_through"), id=ID, domains=DOMAINS, **_BRANCH))
ROUTING_RULE = record(
    id=ID,
    name=TEXT,
    domain_overrides=array(record(id=ID, domains=DOMAINS, randomization_type=RANDOMIZATION, deliver_through=_THROUGH)),
    default=record(randomization_type=RANDOMIZATION, deliver_through=_THROUGH),
)
ROUTING_RULE_NEW = given(
    ("name", "default"),
    name=MTA_NAME,
    default=given(("randomization_type", "deliver_through"), **_BRANCH),
    domain_overrides=_OVERRIDES,
)
ROUTING_RULE_CHANGE = given(name=MTA_NAME, default=given(**_BRANCH), domain_overrides=_OVERRIDES)

# --- What is computed --------------------------------------------------------------------------------------------------

# `ip_address` or `throttling_template` holds the owner, by its type.
_OWNED: dict[str, Schema] = {"type": SIDE, "id": ID, "ip_address": LIST_ROW, "throttling_template": LIST_ROW}
_OWNED_RULE: Schema = {
    "type": "object",
    "properties": _OWNED,
    "required": ["type", "id"],
    "additionalProperties": False,
    "minProperties": 3,
    "maxProperties": 3,
}
_WINNING_RULE: Schema = {
    "type": "object",
    "properties": {**_OWNED, "domain": TEXT},
    "required": ["type", "id", "domain"],
    "additionalProperties": False,
    "minProperties": 4,
    "maxProperties": 4,
}
THROTTLE = record(
    id={"type": "integer", "description": "The address's id times 2^32, plus the rule's"},
    ip_address=LIST_ROW,
    throttling_rule=_OWNED_RULE,
    normal_max_messages_per_hour=LIMIT,
    normal_max_concurrent_connections=LIMIT,
    domains=DOMAINS,
    in_backoff=BOOLEAN,
    backoff_reason=nullable(choice("throttle_program")),
    backoff_began_at=nullable(TEXT),
    backoff_ends_at=nullable(TEXT),
    backoff_max_messages_per_hour=nullable(LIMIT),
    backoff_max_concurrent_connections=nullable(LIMIT),
)
EFFECTIVE_LIMITS = record(
    domain=TEXT,
    max_concurrent_connections=LIMIT,
    max_messages_per_hour=LIMIT,
    throttle_program=nullable(LIST_ROW),
    throttling_rule=nullable(_WINNING_RULE),
    decided_by=record(max_concurrent_connections=SIDE, max_messages_per_hour=SIDE),
    trace=array(record(type=SIDE, domain=TEXT, throttling_rule=nullable(record(id=ID)))),
)
