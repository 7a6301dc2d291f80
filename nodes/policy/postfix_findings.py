"""Findings of the fidelity report for Postfix: codes and sentences."""

from collections import defaultdict

from nodes.policy.compiled import Fidelity, Finding

SENTENCES = {
    "default_connections": (
        Fidelity.STRICTER,
        "Unlimited connections are at most 100 for each address and rule, and for each domain without a rule.",
    ),
    "divided_between_pools": (
        Fidelity.STRICTER,
        "An address in several pools of this node has its limits divided among them: Postfix's instances share no counter.",
    ),
    "hourly_limit_cut": (
        Fidelity.STRICTER,
        "The hourly limit is below 0.8 of what was asked: it needs more simultaneous connections than the rule allows.",
    ),
    "hourly_limit_rounded": (
        Fidelity.STRICTER,
        "The hourly limit is between 0.8 and 1.0 of what was asked: Postfix waits for whole seconds between deliveries.",
    ),
    "many_transports": (
        Fidelity.EXACT,
        "An instance has more than 500 transports: starting it takes long. Use fewer rules, or fewer addresses in a pool.",
    ),
    "pool_rule_conditions": (
        Fidelity.NOT_ENFORCED,
        "Conditions of pool rules on addresses that begin with # are left out: Postfix's maps cannot have them.",
    ),
    "pool_rules_by_message": (
        Fidelity.NOT_ENFORCED,
        "A message with several recipients leaves whole by the pool of its last recipient: Postfix filters messages.",
    ),
    "weights_rounded": (
        Fidelity.STRICTER,
        "The shares of this pool's addresses are rounded to a thousandth.",
    ),
}


class Findings:
    """Collects findings with their objects."""

    def __init__(self) -> None:
        self._about: dict[str, set[str]] = defaultdict(set)

    def add(self, code: str, about: str) -> None:
        """Add an object to a finding."""
        self._about[code].add(about)

    def result(self) -> tuple[Finding, ...]:
        """Return one finding a code, by code."""
        return tuple(Finding.of(*_with_code(code), about=self._about[code]) for code in sorted(self._about))


def _with_code(code: str) -> tuple[Fidelity, str, str]:
    fidelity, message = SENTENCES[code]
    return fidelity, code, message
