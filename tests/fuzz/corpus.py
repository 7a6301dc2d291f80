"""Requests that clients do send: what the mutations start from."""

from dataclasses import dataclass, field
from typing import Any

# What stands in braces in a path → the table whose ids it may become.
TABLES = {
    "ip_address": "ippools_ipaddress",
    "relay_server": "ippools_relayserver",
    "routing_rule": "ippools_routingrule",
    "virtual_mta": "ippools_virtualmta",
    "throttling_template": "throttling_throttlingtemplate",
    "throttle_program": "throttling_throttleprogram",
    "throttling_rule": "throttling_rule",
}
# The same of those that a uuid names; an organization is the caller's own or the other one.
UUID_TABLES = {
    "server": "servers_server",
    "webhook": "servers_webhook",
    "delivery": "webhooks_delivery",
}
KINDS = {"organization", *TABLES, *UUID_TABLES}


@dataclass(frozen=True)
class Seed:
    """One sensible request. A kind of record in braces (KINDS) becomes some id, mostly one that exists."""

    method: str
    path: str
    body: Any = None
    query: dict[str, str] = field(default_factory=dict)


_POSTAL_BODIES: dict[str, list[Any]] = {
    "servers/create": [
        {"organization_uuid": "{organization}", "name": "New Transactional Server", "mode": "Live"},
        {
            "organization_uuid": "{organization}",
            "name": "Another",
            "mode": "Development",
            "ip_pool_id": 1,
            "auto_assign_ip_pool": True,
            "top_pools_limit": 5,
            "privacy_mode": False,
            "skip_provision_database": True,
        },
    ],
    "servers/list": [{}],
    "servers/show": [
        {"server_id": "{server}", "include_domains": True, "include_stats": False, "include_detailed_stats": True}
    ],
    "servers/email-stats": [{"start_date": "2025-01-01T00:00:00Z", "end_date": "2025-01-31T23:59:59Z"}],
    "servers/email-stats-breakdown": [{"start_date": "2025-01-01", "end_date": "2025-01-31"}],
    "servers/delete": [{}],
    "servers/update-mode": [{"mode": "Development"}, {"mode": "Live"}],
    "servers/ip_pools": [{"include_stats": True, "stats_period": "month", "find_least_used": True}],
    "servers/ip_pools/create": [{"name": "Apple", "ips": ["198.51.100.7", "not-a-valid-ip", "1.1.1.1"]}],
    "servers/ip_pools/least_used": [{"stats_period": "week"}],
    "servers/ip_addresses": [{}],
    "organizations/statistics": [{"uuid": "{organization}"}],
    "organizations/ip_allocation": [{"organization_uuid": "{organization}"}],
    "organizations/list": [{}],
    "organizations/show": [{"uuid": "{organization}"}],
    "domains/list": [
        {"page": 1, "per_page": 30, "verified": True, "search": "ex", "order_by": "name", "order_direction": "DESC"}
    ],
    "domains/create": [
        {"name": "example.com", "custom_mx_records": ["mx.example.com"], "dmarc_record": "v=DMARC1; p=none"}
    ],
    "domains/delete": [{"name": "example.com"}],
    "domains/delete/example.com": [{}],
    "domains/verify": [{"name": "example.com"}],
    "domains/dns_records": [{"domain_name": "example.com"}],
    "suppressions/list": [{"page": 1, "per_page": 30, "reason": "complaint", "address": "roger@example.com"}],
    "suppressions/add": [
        {"addresses": ["roger@example.com"], "scope": "organization", "expires_at": "2036-01-01T00:00:00Z"}
    ],
    "suppressions/remove": [{"addresses": ["roger@example.com"], "scope": "server"}],
    "suppressions/check": [{"addresses": ["roger@example.com", "ann@bücher.example"]}],
    "webhooks/list": [{}],
    "webhooks/deliveries": [{"webhook_id": "{webhook}", "status": "Waiting", "before": "{delivery}", "limit": 5}],
    "webhooks/resend": [{"delivery_id": "{delivery}"}],
    "events": [
        [
            {
                "id": "m1",
                "type": "sent",
                "at": 1_790_000_000,
                "ip": "1.1.1.1",
                "from": "a@example.com",
                "to": "b@example.org",
            }
        ],
        {"id": "m2", "type": "bounced", "at": "2026-11-20T10:00:00+01:00", "domain": "example.com"},
        {
            "id": "m3",
            "type": "deferred",
            "at": "2026-11-27T01:00:00Z",
            "server": "acme/first",
            "ip": "192.0.2.11",
            "from": "a@example.com",
            "to": "b@gmail.com",
            "code": 451,
            "enhanced": "4.7.0",
            "reply": "451 4.7.0 try later",
            "class": "throttled",
            "mx": "mx.example.net",
            "rule": 1,
            "seconds": 0.5,
            "attempt": 2,
        },
    ],
}

_RULE = {
    "domains": ["example-2.com", "[*.]web.example.com", "*.bücher.example"],
    "max_concurrent_connections": 2,
    "max_messages_per_hour": 70,
    "throttle_program": {"name": "Automatic Backoff"},
}
_LIMITS = {"max_concurrent_connections": 1, "max_messages_per_hour": 0}
_TARGETS = [{"virtual_mta": {"name": "ipaddr-1"}, "portion_of_mail": 1}]
_RECORDS: dict[str, tuple[str, Any]] = {
    "ip_addresses": (
        "ip_address",
        {
            "name": "ipaddr-4",
            "ip": "127.0.0.9",
            "hostname": "new-ip-example.com",
            "throttling_template": {"name": "Default"},
            "redirect": {"id": 1},
            "rules": [_RULE],
            "default": {"max_concurrent_connections": 1, "max_messages_per_hour": None},
            "delivery_paused": False,
        },
    ),
    "throttling_templates": ("throttling_template", {"name": "Basic", "rules": [_RULE], "default": _LIMITS}),
    "throttle_programs": (
        "throttle_program",
        {
            "name": "Careful",
            "backoff": {
                "max_concurrent_connections": {"mode": "percent", "value": 50},
                "max_messages_per_hour": {"mode": "fixed", "value": 100},
                "return_after": 600,
            },
            "triggers": {"failure_rate": None, "deferral_rate": 20},
        },
    ),
    "relay_servers": (
        "relay_server",
        {
            "name": "relay-1",
            "source_ip": {"ip": "10.0.0.1", "hostname": "out.example.com"},
            "destination": {"hostname": "smtp.example.net", "port": 587, "username": "u", "password": "p"},
            "throttle_limits": _LIMITS,
            "redirect": None,
        },
    ),
    "routing_rules": (
        "routing_rule",
        {
            "name": "split",
            "domain_overrides": [
                {"domains": ["gmail.com"], "randomization_type": "message_constant", "deliver_through": _TARGETS}
            ],
            "default": {"randomization_type": "random", "deliver_through": _TARGETS},
        },
    ),
}
# By list, a value of each filter.
_FILTERS = {"ip_addresses": {"name": "ipaddr-1", "ip": "127.0.0.9", "hostname": "new-ip-example.com"}}


def postal() -> list[Seed]:
    """Return the seeds of Postal's dialect, by GET and POST, with parameters in the body and in the query."""
    seeds = []
    for path, bodies in _POSTAL_BODIES.items():
        for body in bodies:
            seeds.append(Seed("POST", f"/api/v1/{path}", body))
            if isinstance(body, dict):
                query = {name: str(value) for name, value in body.items()}
                seeds.append(Seed("GET", f"/api/v1/{path}", query=query))
    return seeds


def greenarrow() -> list[Seed]:
    """Return the seeds of GreenArrow's dialect: every verb on every kind of record, and what lies below them."""
    base = "/ga/api/v3/eng"
    seeds = [
        Seed("GET", f"{base}/virtual_mtas"),
        Seed("GET", f"{base}/virtual_mtas/{{virtual_mta}}/used_by"),
        Seed("GET", f"{base}/virtual_mtas/default"),
        Seed("PUT", f"{base}/virtual_mtas/default", {"virtual_mta": {"id": 1}}),
        Seed("GET", f"{base}/throttle_programs/{{throttle_program}}/used_by"),
        Seed("GET", f"{base}/throttles_in_backoff"),
        Seed("GET", f"{base}/ip_addresses/{{ip_address}}/throttles"),
        Seed("GET", f"{base}/ip_addresses/{{ip_address}}/effective_limits", query={"domain": "second.web.example.com"}),
        Seed("POST", f"{base}/ip_addresses/{{ip_address}}/effective_limits", {"domain": "second.web.example.com"}),
        Seed("GET", f"{base}/throttling_templates/{{throttling_template}}/used_by"),
    ]
    for plural, (root, record) in _RECORDS.items():
        partial = {name: value for name, value in record.items() if name not in {"rules", "ip"}}
        seeds += [
            Seed("GET", f"{base}/{plural}", query={"page": "0", "page_token": "", **_FILTERS.get(plural, {})}),
            Seed("GET", f"{base}/{plural}/{{{root}}}"),
            Seed("POST", f"{base}/{plural}", {root: record}),
            Seed("PUT", f"{base}/{plural}/{{{root}}}", {root: partial}),
            Seed("DELETE", f"{base}/{plural}/{{{root}}}"),
        ]
    for owner, root in (("ip_addresses", "ip_address"), ("throttling_templates", "throttling_template")):
        rules = f"{base}/{owner}/{{{root}}}/throttling_rules"
        seeds += [
            Seed("POST", rules, {"throttling_rule": _RULE}),
            Seed("PUT", f"{rules}/{{throttling_rule}}", {"throttling_rule": _RULE}),
            Seed("DELETE", f"{rules}/{{throttling_rule}}"),
            Seed("PUT", f"{base}/{owner}/{{{root}}}", {root: {"rules_new": [_RULE]}}),
        ]
    return seeds
