"""The sidebar. Users see only the groups with pages that they can view.

An entry is called as its model is, so that the sidebar, the page's title and the way to the page use one word.
"""

from functools import lru_cache
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import get_script_prefix, reverse
from django.utils.text import capfirst

# (group, [(icon, model)]): the model's page decides who sees its entry.
GROUPS: list[tuple[str, list[tuple[str, str]]]] = [
    (
        "Sending",
        [
            ("apartment", "servers.organization"),
            ("dns", "servers.server"),
            ("key", "servers.credential"),
            ("alternate_email", "servers.domain"),
            ("call_split", "servers.route"),
            ("webhook", "servers.webhook"),
            ("outbox", "webhooks.delivery"),
            ("block", "suppressions.suppression"),
        ],
    ),
    (
        "Addresses",
        [
            ("hub", "ippools.ippool"),
            ("lan", "ippools.ipaddress"),
            ("rule", "servers.ippoolrule"),
            ("forward_to_inbox", "ippools.relayserver"),
            ("alt_route", "ippools.routingrule"),
            ("outbound", "ippools.virtualmta"),
            ("gpp_bad", "ippools.blocklist"),
        ],
    ),
    (
        "Throttling",
        [
            ("tune", "throttling.throttlingtemplate"),
            ("speed", "throttling.throttleprogram"),
            ("compress", "ippools.addresscap"),
            ("healing", "ippools.addressdrain"),
            ("event_repeat", "throttling.warmupplan"),
            ("device_thermostat", "ippools.warmup"),
        ],
    ),
    (
        "Nodes",
        [
            ("memory", "nodes.node"),
            ("difference", "nodes.revision"),
        ],
    ),
    (
        "People and access",
        [
            ("person", "core.user"),
            ("group", "auth.group"),
            ("badge", "servers.membership"),
            ("person_add", "servers.invitation"),
            ("handshake", "servers.organizationpool"),
            ("label", "servers.formerpermalink"),
            ("token", "core.apitoken"),
            ("input", "stats.ingesttoken"),
            ("sensors", "stats.eventsource"),
        ],
    ),
    (
        "Alerts",
        [
            ("notifications", "alerts.alert"),
            ("campaign", "alerts.channel"),
        ],
    ),
    (
        "Records",
        [
            ("history", "core.auditentry"),
            ("pending_actions", "core.job"),
            ("stacked_bar_chart", "stats.rolluprun"),
            ("mail", "stats.provider"),
            ("quickreply", "stats.replyrule"),
        ],
    ),
]


# Pages of the site, beside the dashboard: (URL name, title, icon).
SITE_PAGES = (
    ("explorer", "Explorer", "query_stats"),
    ("usage", "Usage", "bar_chart"),
    ("refused", "Refused events", "report"),
)


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the sidebar's groups of links for this person, as unfold/helpers/app_list.html shows them."""
    pages = {model._meta.label_lower: page for model, page in admin.site._registry.items()}
    index = _link("index", get_script_prefix())
    first: list[dict[str, Any]] = [
        {"title": "Dashboard", "icon": "monitoring", "link": index, "active": request.path == index}
    ]
    if pages["servers.server"].has_module_permission(request):
        match = request.resolver_match
        there = match.url_name if match is not None else ""
        for name, title, icon in SITE_PAGES:
            first.append(
                {"title": title, "icon": icon, "link": _link(name, get_script_prefix()), "active": there == name}
            )
    groups: list[dict[str, Any]] = [{"items": first}]
    for title, entries in GROUPS:
        items = [
            {
                "title": title_of(pages[name].model),
                "icon": icon,
                "link": _link(f"{name.replace('.', '_')}_changelist", get_script_prefix()),
                "active": _is_within(request, name),
            }
            for icon, name in entries
            if name in pages and pages[name].has_module_permission(request)
        ]
        if items:
            groups.append({"title": title, "separator": True, "collapsible": False, "items": items})
    return groups


@lru_cache(maxsize=256)
def _link(name: str, _prefix: str) -> str:
    # Forty look-ups are a twentieth of a page. Behind a path of its own each address begins with that.
    return reverse(f"admin:{name}")


def group_of(label: str) -> str:
    """Return the title of the group that has a model's entry; empty if none has."""
    return next((title for title, entries in GROUPS for _, name in entries if name == label), "")


def title_of(model: Any) -> str:
    """Return the heading of a model's records."""
    return capfirst(str(model._meta.verbose_name_plural))


def _is_within(request: HttpRequest, name: str) -> bool:
    match = request.resolver_match
    return match is not None and (match.url_name or "").startswith(f"{name.replace('.', '_')}_")
