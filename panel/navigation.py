"""The sidebar: the work first, then what it stands on; each person sees the groups that they have something in."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse

# (group, [(title, icon, model)]): the model's page decides who sees its item.
GROUPS: list[tuple[str, list[tuple[str, str, str]]]] = [
    (
        "Sending",
        [
            ("Organizations", "apartment", "servers.organization"),
            ("Servers", "dns", "servers.server"),
            ("Credentials", "key", "servers.credential"),
            ("Domains", "alternate_email", "servers.domain"),
            ("Routes", "call_split", "servers.route"),
            ("Webhooks", "webhook", "servers.webhook"),
        ],
    ),
    (
        "Addresses",
        [
            ("IP pools", "hub", "ippools.ippool"),
            ("IP addresses", "lan", "ippools.ipaddress"),
            ("Pool rules", "rule", "servers.ippoolrule"),
            ("Relay servers", "forward_to_inbox", "ippools.relayserver"),
            ("Routing rules", "alt_route", "ippools.routingrule"),
            ("All ways out", "outbound", "ippools.virtualmta"),
        ],
    ),
    (
        "Throttling",
        [
            ("Templates", "tune", "throttling.throttlingtemplate"),
            ("Programs", "speed", "throttling.throttleprogram"),
        ],
    ),
    (
        "People and access",
        [
            ("Users", "person", "core.user"),
            ("Groups", "group", "auth.group"),
            ("Roles", "badge", "servers.membership"),
            ("Pools granted", "handshake", "servers.organizationpool"),
            ("API tokens", "token", "core.apitoken"),
            ("Ingest tokens", "input", "stats.ingesttoken"),
        ],
    ),
    (
        "Records",
        [
            ("Audit trail", "history", "core.auditentry"),
            ("Jobs", "pending_actions", "core.job"),
            ("Roll-up runs", "stacked_bar_chart", "stats.rolluprun"),
            ("Mailbox providers", "mail", "stats.provider"),
        ],
    ),
]


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """Return unfold's navigation for this person."""
    pages = {model._meta.label_lower: page for model, page in admin.site._registry.items()}
    groups: list[dict[str, Any]] = [
        {"items": [{"title": "Dashboard", "icon": "monitoring", "link": reverse("admin:index")}]}
    ]
    for title, entries in GROUPS:
        items = [
            {
                "title": label,
                "icon": icon,
                "link": reverse(f"admin:{name.replace('.', '_')}_changelist"),
                "active": _is_within(request, name),
            }
            for label, icon, name in entries
            if name in pages and pages[name].has_module_permission(request)
        ]
        if items:
            groups.append({"title": title, "separator": True, "collapsible": False, "items": items})
    return groups


def _is_within(request: HttpRequest, name: str) -> bool:
    match = request.resolver_match
    return match is not None and (match.url_name or "").startswith(f"{name.replace('.', '_')}_")
