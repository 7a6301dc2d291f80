"""Compiler for Postfix: one instance for each pool, and a front instance that accepts mail and selects the pool.

A pool's instance has a transport for each address, rule and shard, and draws one of them for each delivery (docs/agent.md says
why). The front gives each tenant's mail to its pool by FILTER, one recipient at a time, and passes on by XFORWARD which queue
id it had. A node with one pool, and no hourly limit for domains without a rule, needs no front: its only instance takes mail
from customers itself.
"""

from collections.abc import Mapping
from dataclasses import replace

from nodes.policy.compiled import Compiled, Tag
from nodes.policy.findings import shared
from nodes.policy.flat import Flat, joint_table, limit_tables, pool_table
from nodes.policy.model import Overlay, Policy, Pool
from nodes.policy.postfix_findings import Findings
from nodes.policy.postfix_instance import (
    SERVICES,
    SETTINGS,
    SUBMISSION,
    TO_POOL,
    inner_listener,
    main_cf,
    master_cf,
    tenant_settings,
)
from nodes.policy.postfix_tenants import NETWORKS, TenantFiles, inner_address, tenant_files
from nodes.policy.postfix_transports import Allotment, Draws, Joint, Transports

FRONT = "front"
# `postconf`, which Postfix calls 17 times when it starts, takes time that grows with the square of the transports.
MOST_TRANSPORTS = 500


def compile_policy(policy: Policy, overlay: Overlay) -> Compiled:
    """Return the files of the node's Postfix instances, each in its own folder, and the fidelity report."""
    findings = Findings()
    # One counter for all domains of a rule: a cap on some of them bounds them all.
    caps = {pk: tuple(replace(cap, domains=None) for cap in found) for pk, found in overlay.caps.items()}
    limits = limit_tables(policy, caps)
    tables = {pool.id: joint_table(policy, pool.id, limits, overlay) for pool in policy.pools}
    has_front = len(policy.pools) != 1 or _default_is_limited(tables)
    tenants = tenant_files(policy, overlay, findings, has_front=has_front)
    allotment = Allotment(tables)
    files: dict[str, str] = {}
    tags: dict[str, Tag] = {}
    for pool in policy.pools:
        transports = Transports(policy, allotment, pool.id, findings)
        draws = Draws(transports, tables[pool.id], overlay.paused, pool.name, findings)
        files |= _pool_instance(pool, transports, draws, None if has_front else tenants)
        tags |= transports.tags()
        if len(transports.services()) > MOST_TRANSPORTS:
            findings.add("many_transports", pool.name)
    if has_front:
        files |= _front_instance(policy, tenants)
    header = f"# Sluice revision {policy.revision} for node {policy.node.name}\n"
    return Compiled(
        {name: header + files[name] for name in sorted(files)},
        dict(sorted(tags.items())),
        (*shared(policy, {pool.id: pool_table(policy, pool.id) for pool in policy.pools}), *findings.result()),
    )


def _default_is_limited(tables: Mapping[int, Flat[Joint]]) -> bool:
    return any(
        limit.rule == 0 and limit.per_hour
        for table in tables.values()
        for value in table.values()
        for _, limit in value
    )


def _pool_instance(pool: Pool, transports: Transports, draws: Draws, tenants: TenantFiles | None) -> dict[str, str]:
    """Return the files of a pool's instance; `tenants` if it accepts mail from clients itself."""
    folder = f"pool-{pool.id}"
    settings = {
        # Whatever has no transport is refused: nothing may leave by an address that is not the pool's.
        "default_transport": "error:5.3.0 no address of this pool",
        "sender_dependent_default_transport_maps": f"randmap:{{{draws.default}}}",
        "syslog_name": f"sluice-{folder}",
        "transport_maps": draws.transport_maps(),
    }
    services = [inner_listener(inner_address(pool.id)), *SERVICES, *transports.services()]
    maps = draws.maps()
    if tenants is not None:
        settings |= tenant_settings(tenants.settings)
        services.insert(0, SUBMISSION)
        maps |= {**tenants.maps, NETWORKS: ""}
    return _in_folder(folder, main_cf(SETTINGS, settings, transports.settings()), master_cf(services), maps)


def _front_instance(policy: Policy, tenants: TenantFiles) -> dict[str, str]:
    settings = {
        # What a queue holds from before there was a front goes to the first pool; `error:` would refuse all mail here.
        "default_transport": f"to_pool:[{inner_address(policy.pools[0].id).replace(':', ']:', 1)}"
        if policy.pools
        else "retry:4.3.0 no pool on this node",
        "syslog_name": f"sluice-{FRONT}",
        # A pool counts by deliveries, so it gets each recipient as a message of its own.
        "to_pool_destination_recipient_limit": "1",
        **tenant_settings(tenants.settings),
    }
    return _in_folder(
        FRONT, main_cf(SETTINGS, settings), master_cf([SUBMISSION, *SERVICES, TO_POOL]), {**tenants.maps, NETWORKS: ""}
    )


def _in_folder(folder: str, main: str, master: str, maps: Mapping[str, str]) -> dict[str, str]:
    return {
        f"{folder}/main.cf": main,
        f"{folder}/master.cf": master,
        **{f"{folder}/{name}": text for name, text in maps.items()},
    }
