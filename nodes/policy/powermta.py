"""Compiler for PowerMTA: one include file, `sluice.conf`, with virtual MTAs, pools, domain directives and pattern lists.

Compiled and checked against the vendor's documentation; no PowerMTA ran.
"""

import re
from collections.abc import Iterator, Sequence

from nodes.policy import findings, layout
from nodes.policy.compiled import Compiled, Fidelity, Finding
from nodes.policy.flat import Flat, Limit, awake_table, limit_tables
from nodes.policy.model import Overlay, Policy, PoolRule, Source, Tenant
from nodes.policy.shares import Entry

FILE = "sluice.conf"
# max-smtp-out where no limit was asked for.
UNLIMITED = 1000


def compile_policy(policy: Policy, overlay: Overlay) -> Compiled:
    """Return the file, the tags and the fidelity report."""
    limits = limit_tables(policy, overlay.caps)
    draws = {pool.id: awake_table(policy, pool.id, overlay, never_empty=True) for pool in policy.pools}
    file = _File(policy, overlay, draws)
    lines = [f"# Sluice revision {policy.revision} for node {' '.join(policy.node.name.split())}"]
    for source in policy.sources:
        lines += _virtual_mta(source, limits[source.id])
    tenants = [line for tenant in policy.tenants for line in file.tenant(tenant)]
    lines += [*file.pools(), *tenants]
    report = [
        *findings.shared(policy, draws),
        *findings.ipv4_only(policy),
        *_findings(policy, limits),
        *file.findings(),
    ]
    return Compiled({FILE: "\n".join(lines) + "\n"}, layout.tags_of(policy, limits), tuple(report))


# --- Virtual MTAs and limits -----------------------------------------------------------------------------------------


def _virtual_mta(source: Source, table: Flat[Limit]) -> list[str]:
    name = layout.source_name(source.id)
    lines = ["", f"<virtual-mta {name}>", f"    smtp-source-host {source.ipv4} {source.hostname}"]
    lines += _domain("*", table.default)
    for domain, limit in table.exact.items():
        lines += _domain(domain, limit)
    for domain, limit in table.below.items():
        lines += _domain(f"*.{domain}", limit)
    return [*lines, "</virtual-mta>"]


def _domain(name: str, limit: Limit) -> list[str]:
    rate = "unlimited" if limit.per_hour == 0 else f"{limit.per_hour}/h"
    return [
        f"    <domain {name}>",
        f"        max-smtp-out {limit.connections or UNLIMITED}",
        f"        max-msg-rate {rate}",
        "    </domain>",
    ]


def _findings(policy: Policy, limits: layout.Limits) -> Iterator[Finding]:
    if not policy.sources:
        return
    yield Finding.of(
        Fidelity.NOT_ENFORCED,
        "credentials",
        "SMTP credentials are not checked by the compiled policy: the node's own configuration must authenticate clients.",
    )
    names: dict[int, tuple[str, ...]] = {rule.id: rule.domains for table in policy.tables for rule in table.rules}
    shared = {
        policy.rule_names[limit.rule]
        for source in policy.sources
        for limit in limits[source.id].values()
        if limit.rule and not _is_one_domain(names[limit.rule])
    }
    if shared:
        yield Finding.of(
            Fidelity.NOT_ENFORCED,
            "counter_per_domain",
            "PowerMTA counts for each recipient domain: every domain of these rules has the whole limit for itself.",
            shared,
        )
    unlimited = [
        source.ipv4 for source in policy.sources if any(limit.connections == 0 for limit in limits[source.id].values())
    ]
    if unlimited:
        yield Finding.of(
            Fidelity.STRICTER,
            "unlimited_connections",
            f"Unlimited connections are {UNLIMITED} for an address and a domain.",
            unlimited,
        )


def _is_one_domain(patterns: Sequence[str]) -> bool:
    return len(patterns) == 1 and "*" not in patterns[0]


# --- Pools and servers -----------------------------------------------------------------------------------------------


class _File:
    """The pools of a file, which are named as they are met, and what it cannot say."""

    def __init__(self, policy: Policy, overlay: Overlay, draws: layout.Draws) -> None:
        self._draws = draws
        self._paused = set(overlay.paused)
        self._deferred = overlay.deferrals()
        self._names: dict[tuple[int, ...], str] = {}
        self._pool_names = {pool.id: pool.name for pool in policy.pools}
        self._weighted: set[str] = set()
        self._paused_whole: set[str] = set()
        self._both: set[str] = set()
        self._overridden: set[str] = set()

    def pools(self) -> list[str]:
        """Return the pools; call it when all servers were written."""
        lines = []
        for sources, name in self._names.items():
            lines += ["", f"<virtual-mta-pool {name}>"]
            lines += [f"    virtual-mta {layout.source_name(pk)}" for pk in sources]
            lines += ["</virtual-mta-pool>"]
        return lines

    def tenant(self, tenant: Tenant) -> list[str]:
        """Return a server's user, source and patterns; nothing where it may not send or has nothing to send by."""
        if tenant.is_development or tenant.name in self._deferred:
            return []
        patterns = [line for rule in tenant.rules for line in self._patterns_of_rule(tenant, rule)]
        default = None
        if tenant.pool is not None:
            table = self._draws[tenant.pool]
            patterns += self._patterns_of_pool(tenant.pool, table)
            default = self._pool(tenant.pool, table.default)
        if default is None:
            # Without a default its other mail would leave by any address.
            return []
        lines = []
        if patterns:
            lines += ["", f"<pattern-list {tenant.name}>", *patterns, "</pattern-list>"]
        lines += ["", f"<source {{{tenant.name}}}>", f"    default-virtual-mta {default}"]
        lines += [f"    pattern-list {tenant.name}"] if patterns else []
        lines += ["</source>", f"<smtp-user {tenant.name}>", f"    source {{{tenant.name}}}", "</smtp-user>"]
        return lines

    def _patterns_of_rule(self, tenant: Tenant, rule: PoolRule) -> list[str]:
        if rule.senders and rule.recipients:
            self._both.add(tenant.name)
            return []
        table = self._draws[rule.pool]
        if table.exact or table.below:
            self._overridden.add(self._pool_names[rule.pool])
        name = self._pool(rule.pool, table.default)
        if name is None:
            return []
        kind = "mail-from" if rule.senders else "rcpt-to"
        return [f"    {kind} {_regex(each)} virtual-mta={name}" for each in rule.senders or rule.recipients]

    def _patterns_of_pool(self, pool: int, table: Flat[tuple[Entry, ...]]) -> list[str]:
        lines = []
        for domain, entries in table.exact.items():
            if name := self._pool(pool, entries):
                lines.append(f"    rcpt-to {_regex(domain)} virtual-mta={name}")
        for domain, entries in sorted(table.below.items(), key=lambda item: (-item[0].count("."), item[0])):
            if name := self._pool(pool, entries):
                lines.append(f"    rcpt-to /\\.{re.escape(domain)}$/i virtual-mta={name}")
        return lines

    def _pool(self, pool: int, entries: tuple[Entry, ...]) -> str | None:
        left = [each for each in entries if self._paused.isdisjoint({each.source, *each.unless})]
        if entries and not left:
            self._paused_whole.add(self._pool_names[pool])
            left = list(entries)
        weighted = [each for each in left if each.weight] or left
        if not weighted:
            return None
        totals: dict[int, int] = {}
        for each in weighted:
            totals[each.source] = totals.get(each.source, 0) + (each.weight or 1)
        if len(set(totals.values())) > 1:
            self._weighted.add(self._pool_names[pool])
        return self._names.setdefault(tuple(sorted(totals)), f"d{len(self._names) + 1}")

    def findings(self) -> Iterator[Finding]:
        """Yield what could not be said."""
        for about, code, message in (
            (self._weighted, "weights", "PowerMTA's pools have no weights: their addresses are used alike."),
            (self._paused_whole, "pause", "All addresses of these pools are paused: pause their queues by hand."),
            (self._both, "pool_rule_both", "Rules of pools with conditions on sender and recipient are left out."),
            (
                self._overridden,
                "pool_rule_domains",
                "Where a pool rule chooses these pools, exceptions of routing rules for some domains do not apply.",
            ),
        ):
            if about:
                yield Finding.of(Fidelity.NOT_ENFORCED, code, message, about)


def _regex(condition: str) -> str:
    """Return a pattern for a condition of a pool rule, or for a domain itself."""
    name, at, domain = condition.rpartition("@")
    if not at:
        return f"/@{re.escape(domain)}$/i"
    # The delimiter is escaped as well: a local part may have one.
    escaped = re.escape(name).replace("/", "\\/")
    return f"/^{escaped}(\\+[^@]*)?@{re.escape(domain)}$/i"
