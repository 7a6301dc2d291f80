"""Converts policies to JSON and back, for revisions."""

import dataclasses
import hashlib
import types
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

import orjson

from nodes.policy.compiled import Finding, Tag
from nodes.policy.model import Policy, PoolRule, RuleLists, Tenant

# Raised whenever a compiler writes another thing for the same policy, so that the next revision is compiled anew.
COMPILERS = 3


def to_json(policy: Policy) -> bytes:
    """Return the policy as JSON; equal policies give equal bytes.

    Rules are written once: an organization's are those of each of its servers, of which there may be thousands.
    """
    # By its fields: orjson would write down cached properties too.
    document = {field.name: getattr(policy, field.name) for field in dataclasses.fields(policy)}
    rules = RuleLists()
    document["tenants"] = [{**_values(tenant), "rules": rules.of(tenant.rules)} for tenant in policy.tenants]
    document["pool_rules"] = rules.lists
    return orjson.dumps(document)


def from_json(text: bytes) -> Policy:
    """Return the policy that `to_json` wrote."""
    document = orjson.loads(text)
    # Older texts have the rules with each server.
    lists = document.pop("pool_rules", None)
    if lists is not None:
        rules = [_built(tuple[PoolRule, ...], each) for each in lists]
        for tenant in document["tenants"]:
            tenant["rules"] = rules[tenant["rules"]]
    policy: Policy = _built(Policy, document)
    return policy


def _values(tenant: Tenant) -> dict[str, Any]:
    return {name: getattr(tenant, name) for name, _ in _fields(Tenant)}


def digest_of(policy: Policy) -> str:
    """Return the SHA-256 of the policy without its number, and of the compilers."""
    document = to_json(replace(policy, revision=0))
    return hashlib.sha256(b"%d %s" % (COMPILERS, document)).hexdigest()


def tags_to_json(tags: Mapping[str, Tag]) -> bytes:
    """Return the tags as sent to nodes, sorted."""
    return orjson.dumps(
        {
            name: {"ip": tag.ip, "virtual_mta": tag.virtual_mta, "rule": tag.rule}
            for name, tag in sorted(tags.items(), key=lambda item: (item[1].virtual_mta, item[1].rule, item[0]))
        }
    )


def findings_to_json(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """Return the fidelity report as JSON values, sorted by code."""
    return [
        {
            "fidelity": each.fidelity.value,
            "code": each.code,
            "message": each.message,
            "count": each.count,
            "about": list(each.about),
        }
        for each in sorted(findings, key=lambda each: (each.code, each.message))
    ]


@cache
def _fields(kind: type) -> tuple[tuple[str, Any], ...]:
    hints = get_type_hints(kind)
    return tuple((field.name, hints[field.name]) for field in dataclasses.fields(kind))


def _built(kind: Any, value: Any) -> Any:
    # None, and what was built already.
    if value is None or type(value) is tuple:
        return value
    if dataclasses.is_dataclass(kind):
        # A field that an older version did not write has its default.
        return kind(**{name: _built(hint, value[name]) for name, hint in _fields(kind) if name in value})  # type: ignore[arg-type, operator]
    origin = get_origin(kind)
    if origin is tuple:
        inner = get_args(kind)[0]
        # Numbers and texts need no building, and there may be hundreds of thousands.
        return tuple(value) if inner in (int, str) else tuple(_built(inner, each) for each in value)
    if origin in (Union, types.UnionType):
        [inner] = [each for each in get_args(kind) if each is not type(None)]
        return _built(inner, value)
    return value
