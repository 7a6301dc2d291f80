"""What Haraka's file says, read by its documented form alone, with the overlay that the agent writes beside it."""

import json
from fractions import Fraction
from typing import Any

from nodes.policy.compiled import Compiled
from nodes.policy.model import Overlay
from tests.nodes.slow import REFUSED, Limits, Outcome


class Haraka:
    def __init__(self, compiled: Compiled, overlay: Overlay) -> None:
        self.file = json.loads(compiled.files["sluice.json"])
        self.paused = {f"a{pk}" for pk in overlay.paused}
        self.resting = overlay.resting
        self.suspended = {each.tenant for each in (*overlay.suspended, *overlay.deferred)}

    def outcome(self, name: str, sender: str, recipient: str) -> Outcome:
        tenant = self.file["tenants"].get(name)
        if tenant is None or tenant["refuse"] or name in self.suspended:
            return REFUSED
        pool = tenant["pool"]
        for rule in self.file["rules"].get(tenant["rules"], []):
            if holds(rule["from"], sender) and holds(rule["to"], recipient):
                pool = rule["pool"]
                break
        if pool is None:
            return REFUSED
        domain = recipient.rpartition("@")[2].lower()
        draw = self.file["draws"][look_up(self.file["pools"][pool], domain)]
        left = [
            (source, weight)
            for source, weight, unless in draw
            if self.paused.isdisjoint({source, *unless}) and not self.rests(source, domain)
        ]
        weighted = [each for each in left if each[1]] or [(source, 1) for source, _ in left]
        total = sum(weight for _, weight in weighted)
        shares: dict[str, Fraction] = {}
        limits = {}
        for source, weight in weighted:
            row = self.file["sources"][source]
            shares[row["ip"]] = shares.get(row["ip"], Fraction(0)) + Fraction(weight, total)
            limit = self.file["limit"][look_up(self.file["limits"][row["limits"]], domain)]
            limits[row["ip"]] = Limits(limit["rule"], limit["connections"], limit["per_hour"])
        return Outcome(is_refused=False, shares=shares, limits=limits)

    def rests(self, source: str, domain: str) -> bool:
        return any(
            source == f"a{each.source}" and (not each.domains or any(covers(one, domain) for one in each.domains))
            for each in self.resting
        )


def covers(pattern: str, domain: str) -> bool:
    if pattern.startswith("[*.]"):
        return domain == pattern[4:] or domain.endswith(f".{pattern[4:]}")
    return domain.endswith(pattern[1:]) if pattern.startswith("*.") else domain == pattern


def look_up(flat: dict[str, Any], domain: str) -> Any:
    if domain in flat["exact"]:
        return flat["exact"][domain]
    while "." in domain:
        domain = domain.partition(".")[2]
        if domain in flat["below"]:
            return flat["below"][domain]
    return flat["default"]


def holds(conditions: list[str], address: str) -> bool:
    name, _, domain = address.lower().rpartition("@")
    return not conditions or domain in conditions or f"{name.partition('+')[0]}@{domain}" in conditions
