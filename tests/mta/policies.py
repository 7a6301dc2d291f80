"""The policies of these tests: two servers, two pools, and rules for some domains below .example."""

import dataclasses
from typing import Any

from nodes.policy.compilers import compile_for
from nodes.policy.model import NodeIdentity, Overlay, Policy, Pool, Source, Table, Tenant, VirtualMTA
from tests.mta.small_panel import credential, document
from throttling.limits import LimitRule

ADDRESSES = {11: "203.0.113.11", 12: "203.0.113.12", 13: "203.0.113.13", 14: "203.0.113.14"}
ACME, GLOBEX = "acme/mail", "globex/mail"
PASSWORD = "correct horse battery staple"


def policy(
    kind: str,
    *,
    rules: tuple[LimitRule, ...] = (),
    pools: dict[int, tuple[int, ...]] | None = None,
    weights: dict[int, int] | None = None,
    tenants: dict[str, int] | None = None,
    default: tuple[int, int] = (0, 0),
    revision: int = 1,
    send_limit_a_day: int | None = None,
) -> Policy:
    """Return a policy; pool 7 with the first address takes acme's mail unless it is said otherwise."""
    pools = pools or {7: (11,)}
    tenants = tenants or {ACME: 7}
    used = sorted({number for members in pools.values() for number in members})
    return Policy(
        node=NodeIdentity(1, "mta1", kind),
        revision=revision,
        sources=tuple(Source(n, ADDRESSES[n], None, f"mta{n}.sluice.example", n, 50) for n in used),
        virtual_mtas=tuple(VirtualMTA(n, f"ip {n}", "ip_address", (weights or {}).get(n, 100)) for n in used),
        tables=(*(Table(n, (), None, None) for n in used), Table(50, rules, *default)),
        pools=tuple(Pool(n, f"Pool {n}", members) for n, members in sorted(pools.items())),
        tenants=tuple(
            Tenant(number, f"00000000-0000-0000-0000-{number:012}", name, 1, pool, send_limit_a_day=send_limit_a_day)
            for number, (name, pool) in enumerate(sorted(tenants.items()), 1)
        ),
    )


def published(asked: Policy, *, overlay: Overlay | None = None, **said: Any) -> dict[str, Any]:
    """Return the panel's document of a policy, with a password for each server."""
    plain = compile_for(asked, Overlay())
    overlay = overlay or Overlay(number=1)
    covered = compile_for(asked, overlay)
    changed = {path: None for path in plain.files if path not in covered.files}
    changed |= {path: text for path, text in covered.files.items() if plain.files.get(path) != text}
    return document(
        plain,
        revision=asked.revision,
        node=asked.node.name,
        kind=asked.node.kind,
        overlay={
            "number": overlay.number,
            "paused": [f"a{number}" for number in overlay.paused],
            "suspended": [{"server": each.tenant, "until": None} for each in overlay.suspended],
            "deferred": [
                {"server": each.tenant, "until": each.until.isoformat(), "reason": each.reason}
                for each in overlay.deferred
            ],
            "credentials": [credential(tenant.name, PASSWORD, tenant.id) for tenant in asked.tenants],
            "files": changed,
            **said,
        },
    )


def later(asked: Policy) -> Policy:
    """Return the next revision of a policy."""
    return dataclasses.replace(asked, revision=asked.revision + 1)
