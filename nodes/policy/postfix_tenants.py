"""Compiles which server's mail is sent by which pool, as restrictions of the front instance.

Every recipient is judged by `smtpd_sender_restrictions`: the tenant (by its SMTP user name, or by the network of the client)
leads to a restriction class, the class to a pool, and a pool's class ends the list with `permit`. Who is in none is refused.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from nodes.policy.layout import refusal_of
from nodes.policy.model import DEFAULT_POOL, Overlay, Policy, PoolRule, RuleLists, Tenant
from nodes.policy.postfix_findings import Findings

TENANTS = "tenants"
NETWORKS = "networks"
# The first thing that is asked is the tenant; what no entry permits is refused. Postfix does not start without the last word.
RESTRICTIONS = (
    f"check_sasl_access lmdb:$config_directory/{TENANTS}, check_client_access cidr:$config_directory/{NETWORKS},"
    " check_client_access static:{REJECT 5.7.1 This server does not send by this machine}, reject"
)
# What no rule covers, of a tenant without a pool of its own.
NO_POOL = "check_client_access static:{REJECT 5.7.1 This server has no IP pool for this mail}"
INNER_PORT = 10025
# What a line of a map can begin with: a `#` there is a comment, and postmap warns of quotes that do not end. The agent refuses
# the files of the whole node for one line that is none.
_KEY = re.compile(r"[^\x00-\x20\x7f-\xa0\"\\#][^\x00-\x20\x7f-\xa0\"\\]*")


@dataclass(frozen=True, slots=True)
class TenantFiles:
    """Maps (name: text) and settings of main.cf."""

    maps: dict[str, str] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)


def inner_address(pool: int) -> str:
    """Return the loopback address of a pool's instance for mail from the front instance; constant for a pool."""
    return f"127.{128 + (pool >> 16 & 127)}.{pool >> 8 & 255}.{pool & 255}:{INNER_PORT + (pool >> 23)}"


def tenant_files(policy: Policy, overlay: Overlay, findings: Findings, *, has_front: bool) -> TenantFiles:
    """Return the files that route tenants to their pools; without a front instance, there is one pool."""
    classes: dict[str, str] = {}
    for pool in policy.pools:
        filtered = f"check_client_access static:{{FILTER to_pool:[{inner_address(pool.id).replace(':', ']:', 1)}}}, "
        classes[_class_of(pool.id)] = (filtered if has_front else "") + "permit"
    deferred = overlay.deferrals()
    files = TenantFiles()
    named: dict[tuple[int | None, int], str] = {}
    lists = RuleLists()
    verdicts = {
        tenant.name: _verdict(tenant, deferred, lists, named, classes, files, findings) for tenant in policy.tenants
    }
    files.maps[TENANTS] = "".join(f"{name} {verdict}\n" for name, verdict in sorted(verdicts.items()))
    files.settings["smtpd_restriction_classes"] = ", ".join(sorted(classes))
    files.settings.update(classes)
    return files


def _verdict(
    tenant: Tenant,
    deferred: Mapping[str, str],
    lists: RuleLists,
    named: dict[tuple[int | None, int], str],
    classes: dict[str, str],
    files: TenantFiles,
    findings: Findings,
) -> str:
    if tenant.name in deferred:
        return f"450 4.7.1 {deferred[tenant.name]}"
    if refusal := refusal_of(tenant):
        return f"REJECT 5.7.1 {refusal}"
    if not tenant.rules:
        return _class_of(tenant.pool or DEFAULT_POOL)
    if any(rule.recipients for rule in tenant.rules):
        findings.add("pool_rules_by_message", tenant.name)
    key = tenant.pool, lists.of(tenant.rules)
    if key not in named:
        # Once for those that share the rules of their organization.
        if not all(map(_is_key, _conditions(tenant.rules))):
            findings.add("pool_rule_conditions", tenant.name)
        # Named by a rule of theirs: rules belong to one server or organization.
        number = f"{tenant.rules[0].id}-{tenant.pool or 0}-{len(named) + 1}".replace("-", "_")
        named[key] = f"rules_{number}"
        classes[named[key]] = ", ".join(
            [_condition(rule, f"{named[key]}_{rule.id}", classes, files) for rule in tenant.rules]
            + [NO_POOL if tenant.pool is None else _class_of(tenant.pool)]
        )
    return named[key]


def _condition(rule: PoolRule, name: str, classes: dict[str, str], files: TenantFiles) -> str:
    pool = _class_of(rule.pool)
    found = pool
    if rule.recipients:
        files.maps[f"{name}-to"] = _rows(rule.recipients, pool)
        found = f"check_recipient_access lmdb:$config_directory/{name}-to"
    if rule.senders:
        if rule.recipients:
            classes[name], found = found, name
        files.maps[f"{name}-from"] = _rows(rule.senders, found)
        found = f"check_sender_access lmdb:$config_directory/{name}-from"
    return found


def _conditions(rules: tuple[PoolRule, ...]) -> Iterable[str]:
    return (condition for rule in rules for condition in (*rule.senders, *rule.recipients))


def _rows(keys: tuple[str, ...], value: str) -> str:
    return "".join(f"{key} {value}\n" for key in sorted(keys) if _is_key(key))


def _is_key(text: str) -> bool:
    return text.isprintable() and _KEY.fullmatch(text) is not None


def _class_of(pool: int) -> str:
    return f"pool_{pool}"
