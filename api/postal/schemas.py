"""JSON Schema of what the dialect answers with, strict: nothing beside what is named here is ever sent."""

from typing import Any

from stats import kinds

type Schema = dict[str, Any]


def record(optional: dict[str, Schema] | None = None, **properties: Schema) -> Schema:
    """Return an object with exactly these properties; `optional` ones may be absent."""
    return {
        "type": "object",
        "properties": {**properties, **(optional or {})},
        "required": list(properties),
        "additionalProperties": False,
    }


def array(items: Schema) -> Schema:
    """Return a list of such items."""
    return {"type": "array", "items": items}


def nullable(schema: Schema) -> Schema:
    """Return the same, or null."""
    return {**schema, "type": [schema["type"], "null"]}


TEXT: Schema = {"type": "string"}
BOOLEAN: Schema = {"type": "boolean"}
INTEGER: Schema = {"type": "integer"}
COUNT: Schema = {"type": "integer", "minimum": 0}
FLOAT: Schema = {"type": "number", "minimum": 0}
UUID: Schema = {"type": "string", "format": "uuid"}
TIMESTAMP: Schema = {
    "type": "string",
    "format": "date-time",
    "pattern": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$",
}
WHOLE_SECONDS: Schema = {
    "type": "string",
    "format": "date-time",
    "pattern": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$",
}
MODE: Schema = {"type": "string", "enum": ["Live", "Development"]}
STATUS: Schema = {"type": ["string", "null"], "enum": ["OK", "Missing", "Invalid", None]}

# --- servers ----------------------------------------------------------------------------------------------------------

ORGANIZATION = record(uuid=UUID, name=TEXT, permalink=TEXT)
SENT = record(messages_sent_today=COUNT, messages_sent_this_month=COUNT)
POOL_MENTION = record(id=INTEGER, uuid=UUID, name=TEXT)

CREATED_SERVER = record(
    server=record(
        {
            "api_key": {**TEXT, "description": "Absent where a create without a key finds a server that existed"},
            "smtp_key": {**TEXT, "description": "Absent where a create without a key finds a server that existed"},
            "ip_pool": record(id=INTEGER, uuid=UUID, name=TEXT, auto_assigned=BOOLEAN),
        },
        uuid=UUID,
        name=TEXT,
        permalink=TEXT,
        mode=MODE,
        created_at=TIMESTAMP,
        organization=ORGANIZATION,
        smtp_user=TEXT,
        already_exists=BOOLEAN,
    )
)

_SERVER_ROW: dict[str, Schema] = {
    "uuid": UUID,
    "name": TEXT,
    "permalink": TEXT,
    "mode": MODE,
    "suspended": BOOLEAN,
    "privacy_mode": BOOLEAN,
    "ip_pool_id": nullable(INTEGER),
    "created_at": TIMESTAMP,
    "updated_at": TIMESTAMP,
    "domains_count": COUNT,
    "credentials_count": COUNT,
    "webhooks_count": COUNT,
    "routes_count": COUNT,
}
SERVERS = record(servers=array(record(**_SERVER_ROW)))

_DOMAIN = record(
    {"stats": SENT},
    uuid=UUID,
    name=TEXT,
    verified=BOOLEAN,
    spf_status=STATUS,
    dkim_status=STATUS,
    mx_status=STATUS,
    return_path_status=STATUS,
    outgoing=BOOLEAN,
    incoming=BOOLEAN,
)
_POINT = record(date=WHOLE_SECONDS, stats=record(incoming=COUNT, outgoing=COUNT, bounces=COUNT, spam=COUNT, held=COUNT))
SERVER = record(
    server=record(
        {
            "stats": SENT,
            "domains": array(_DOMAIN),
            "detailed_stats": record(daily=array(_POINT), hourly=array(_POINT)),
        },
        **_SERVER_ROW,
        suspension_reason=nullable(TEXT),
        organization=ORGANIZATION,
    )
)
EMAIL_STATS = record(
    start_date=WHOLE_SECONDS,
    end_date=WHOLE_SECONDS,
    server=record(uuid=UUID, name=TEXT, permalink=TEXT, sent_emails=COUNT),
)
UPDATED_SERVER = record(server=record(uuid=UUID, name=TEXT, permalink=TEXT, mode=MODE, updated_at=TIMESTAMP))
DELETED_SERVER = record(deleted={"type": "boolean", "const": True}, server=record(uuid=UUID, name=TEXT, permalink=TEXT))

# --- domains ----------------------------------------------------------------------------------------------------------

DOMAINS = record(
    domains=array(
        record(
            {"stats": SENT},
            uuid=UUID,
            name=TEXT,
            verified=BOOLEAN,
            spf_status=STATUS,
            dkim_status=STATUS,
            mx_status=STATUS,
            return_path_status=STATUS,
            dmarc_status=STATUS,
        )
    ),
    pagination=record(current_page=COUNT, per_page=COUNT, total_pages=COUNT, total_count=COUNT),
)
_CHECK = record(status=STATUS, error=nullable(TEXT))
DNS_CHECKS = record(spf=_CHECK, dkim=_CHECK, return_path=_CHECK, mx=_CHECK, dmarc=_CHECK)
_PURPOSE: Schema = {"type": "string", "enum": ["verification", "spf", "dkim", "return_path", "mx", "dmarc"]}
_DNS_RECORDS = array(
    record(
        {"short_name": TEXT, "priority": INTEGER},
        type={"type": "string", "enum": ["TXT", "CNAME", "MX"]},
        name=TEXT,
        value=TEXT,
        purpose=_PURPOSE,
    )
)
CREATED_DOMAIN = record(
    domain=record(
        uuid=UUID,
        name=TEXT,
        verification_method={"type": "string", "const": "DNS"},
        verified=BOOLEAN,
        verification_token=TEXT,
        dns_verification_string=TEXT,
        created_at=TIMESTAMP,
        updated_at=TIMESTAMP,
    ),
    dns_records=_DNS_RECORDS,
)
DELETED_DOMAIN = record(deleted={"type": "boolean", "const": True}, domain=record(uuid=UUID, name=TEXT))
VERIFIED_DOMAIN = record(
    domain=record(uuid=UUID, name=TEXT, verified=BOOLEAN, verified_at=TIMESTAMP, dns_checks=DNS_CHECKS)
)
DOMAIN_WITH_RECORDS = record(
    domain=record(uuid=UUID, name=TEXT, verified=BOOLEAN, dns_checks=DNS_CHECKS), dns_records=_DNS_RECORDS
)

# --- pools ------------------------------------------------------------------------------------------------------------

ADDRESS: dict[str, Schema] = {"ipv4": TEXT, "ipv6": nullable(TEXT), "hostname": TEXT, "priority": INTEGER}
_POOL_HEAD: dict[str, Schema] = {
    "id": INTEGER,
    "uuid": UUID,
    "name": TEXT,
    "default": BOOLEAN,
    "created_at": TIMESTAMP,
}
_POOL_STATS = record(total_messages_sent=COUNT, ip_count=COUNT, average_per_ip=FLOAT)
IP_POOLS = record(
    {"least_used_pool": POOL_MENTION},
    ip_pools=array(
        record(
            {"stats": _POOL_STATS},
            **_POOL_HEAD,
            ip_addresses=array(record({"messages_sent": COUNT}, id=INTEGER, **ADDRESS)),
        )
    ),
)
CREATED_IP_POOL = record(
    {"warnings": {**array(TEXT), "minItems": 1}},
    ip_pool=record(
        id=INTEGER,
        uuid=UUID,
        name=TEXT,
        created_at=TIMESTAMP,
        ip_addresses=array(record(id=INTEGER, ipv4=TEXT, hostname=TEXT)),
    ),
)
LEAST_USED_IP_POOL = record(ip_pool=record(**_POOL_HEAD, stats=_POOL_STATS))

# --- addresses, senders, organizations --------------------------------------------------------------------------------

IP_ADDRESSES = record(ip_addresses=array(record(**ADDRESS)))
EMAIL_STATS_BREAKDOWN = record(
    start_date=WHOLE_SECONDS,
    end_date=WHOLE_SECONDS,
    breakdown={"type": "object", "additionalProperties": COUNT},
    total_mailboxes=COUNT,
    total_emails=COUNT,
)
_ORGANIZATION = record(uuid=UUID, name=TEXT, permalink=TEXT, time_zone=TEXT, created_at=TIMESTAMP, servers_count=COUNT)
ORGANIZATIONS = record(organizations=array(_ORGANIZATION))
ORGANIZATION_DETAILS = record(organization=_ORGANIZATION)
ORGANIZATION_STATISTICS = record(
    statistics=record(
        uuid=UUID,
        name=TEXT,
        overall_message_rate=FLOAT,
        total_queued_count=COUNT,
        total_sent=COUNT,
        servers_count=COUNT,
        ip_addresses_count=COUNT,
        ip_addresses=array(record(id=INTEGER, **ADDRESS)),
        servers=array(record(uuid=UUID, name=TEXT, queued_count=COUNT, message_rate=FLOAT, sent_count=COUNT)),
    )
)
IP_ALLOCATION = record(
    organization=record(uuid=UUID, name=TEXT),
    ip_addresses=array(record(**ADDRESS, ip_pools=array(TEXT), emails_sent=COUNT)),
    ip_pools=array(record(name=TEXT, uuid=UUID, default=BOOLEAN, servers=array(TEXT), emails_sent=COUNT)),
    servers=array(record(name=TEXT, uuid=UUID, ip_pool=nullable(TEXT), ip_addresses=array(TEXT), emails_sent=COUNT)),
)

# --- events -----------------------------------------------------------------------------------------------------------

EVENT: Schema = {
    "type": "object",
    "properties": {
        "id": {
            **TEXT,
            "minLength": 1,
            "maxLength": 128,
            "description": "With server, type, time and recipient, what makes it one event",
        },
        "type": {**TEXT, "enum": [*kinds.COLUMNS, kinds.IGNORED]},
        "at": {
            "anyOf": [{**TEXT, "format": "date-time"}, {"type": "number"}],
            "description": "RFC 3339 with an offset, or seconds or (from 100,000,000,000 on) milliseconds since 1970",
        },
        "server": {**TEXT, "description": "UUID or SMTP user; a server's key may leave its own out"},
        "ip": {**TEXT, "description": "The address that the message left by"},
        "from": {**TEXT, "description": "The envelope's sender"},
        "to": {**TEXT, "description": "The recipient; only its domain is kept"},
        "domain": {**TEXT, "description": "The sender domain, where it is not that of `from`"},
        "code": {"type": "integer", "minimum": 200, "maximum": 599, "description": "The receiver's reply code"},
        "enhanced": {**TEXT, "description": "Its enhanced status code, such as 5.1.1"},
        "reply": {**TEXT, "description": "Its reply as text; 1,000 characters are looked at"},
        "mx": {**TEXT, "description": "The remote host"},
        "attempt": {"type": "integer", "minimum": 1, "description": "The number of the attempt"},
        "seconds": {"type": "number", "minimum": 0, "description": "From acceptance to this outcome"},
        "rule": {"type": "integer", "minimum": 0, "description": "The throttling rule that applied; 0: the default"},
    },
    "required": ["id", "type", "at"],
}
REMARKS = array(record(index=COUNT, code=TEXT, message=TEXT))
EVENTS = record(
    accepted=COUNT,
    duplicates=COUNT,
    ignored=COUNT,
    conflicts=REMARKS,
    warnings=REMARKS,
    refused=REMARKS,
)
