"""Compiler for KumoMTA: one Lua module, `sluice.lua`, with data and the event handlers that read it.

Compiled and checked against the vendor's documentation (2024.11.08 and newer); the tests run its Lua in a stock Lua, with a
stand-in for `kumo`. No KumoMTA ran.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nodes.policy import findings, layout
from nodes.policy.compiled import Compiled, Fidelity, Finding
from nodes.policy.flat import awake_table, limit_tables
from nodes.policy.model import Overlay, Policy

FILE = "sluice.lua"
# connection_limit where none was asked for, as in kumomta.lua.
UNLIMITED = 1000
_CODE = (Path(__file__).parent / "kumomta.lua").read_text()


def compile_policy(policy: Policy, overlay: Overlay) -> Compiled:
    """Return the module, the tags and the fidelity report."""
    limits = limit_tables(policy, overlay.caps)
    draws = {pool.id: awake_table(policy, pool.id, overlay) for pool in policy.pools}
    data = layout.document_of(policy, limits, draws) | {
        "paused": {layout.source_name(pk): True for pk in overlay.paused},
        "deferred": overlay.deferrals(),
    }
    text = (
        f"-- Sluice revision {policy.revision} for node {_one_line(policy.node.name)}\n"
        f"local data = {_lua(data)}\n\n{_CODE}"
    )
    report = [*findings.shared(policy, draws), *findings.ipv4_only(policy), *_findings(policy, limits)]
    return Compiled({FILE: text}, layout.tags_of(policy, limits), tuple(report))


def _findings(policy: Policy, limits: layout.Limits) -> Iterator[Finding]:
    if not policy.sources:
        return
    yield Finding.of(
        Fidelity.NOT_ENFORCED,
        "shared_mx",
        "KumoMTA has one path to all domains with the same MX hosts: where such domains have different rules, one's apply.",
    )
    yield Finding.of(
        Fidelity.NOT_ENFORCED,
        "credentials",
        "SMTP credentials are not checked by the compiled policy: the node's own configuration must authenticate clients.",
    )
    by_default = [source.ipv4 for source in policy.sources if _is_limited(limits[source.id].default)]
    if by_default:
        yield Finding.of(
            Fidelity.STRICTER,
            "default_per_site",
            "The default limits hold for all domains with the same MX hosts together, not for each domain.",
            by_default,
        )
    unlimited = [
        source.ipv4 for source in policy.sources if any(limit.connections == 0 for limit in limits[source.id].values())
    ]
    if unlimited:
        yield Finding.of(
            Fidelity.STRICTER,
            "unlimited_connections",
            f"Unlimited connections are {UNLIMITED} for an address and the domains with the same MX hosts.",
            unlimited,
        )


def _is_limited(limit: Any) -> bool:
    return bool(limit.connections or limit.per_hour)


def _one_line(text: str) -> str:
    # A comment ends with its line: a name must not put code behind it.
    return " ".join(text.split())


def _lua(value: Any, indent: str = "") -> str:
    """Return plain values as a Lua expression; a key whose value is None is left out."""
    inner = f"{indent}  "
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case str():
            return _quoted(value)
        case Mapping():
            pairs = [
                f"{inner}[{_quoted(key)}] = {_lua(each, inner)}," for key, each in value.items() if each is not None
            ]
            return "\n".join(["{", *pairs, f"{indent}}}"]) if pairs else "{}"
        case list():
            return "{" + ", ".join(_lua(each, inner) for each in value) + "}"
    raise TypeError(type(value).__name__)


def _quoted(text: str) -> str:
    """Return a Lua string; every byte that is not a plain ASCII character is written as a number."""
    return (
        '"'
        + "".join(chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\{byte:03d}" for byte in text.encode())
        + '"'
    )
