"""Finds the throttling rule of a message by its source address and recipient domain."""

from collections.abc import Collection, Iterable

from core import sql_lists
from ippools.models import IPAddress
from throttling.limits import LimitRule, LimitTable, effective
from throttling.models import RuleDomain

# The rule is unknown, because the address or the domain is.
UNKNOWN = -1
DEFAULT = 0
_EMPTY = LimitTable.of((), max_concurrent_connections=None, max_messages_per_hour=None)


class Rules:
    """The rules of an address: its own set and its template's. Addresses without rules of their own share one of these."""

    def __init__(self, own: LimitTable, template: LimitTable) -> None:
        self._own, self._template = own, template
        self.ids = {rule.id for table in (own, template) for rule in table.rule_of.values()} | {DEFAULT}
        # By the recipient's domain.
        self.known: dict[str, int] = {}

    def of(self, domain: str) -> int:
        """Return the id of the rule that wins for a domain (a lower-case A-label), 0 for the default."""
        found = self.known.get(domain)
        if found is None:
            rule = effective((self._own, self._template), (), domain).rule
            found = self.known[domain] = DEFAULT if rule is None else rule.id
        return found


class Throttles:
    """The current rules of addresses, for one run of ingestion."""

    def __init__(self) -> None:
        self.by_address: dict[int, Rules] = {}

    def load(self, address_ids: Collection[int]) -> None:
        """Look up the rules of addresses that were not looked up before."""
        missing = [each for each in address_ids if each not in self.by_address]
        if not missing:
            return
        sets = list(
            IPAddress.objects.filter(pk__in=sql_lists.ids(missing)).values_list("pk", "rules_id", "template__rules_id")
        )
        tables = _tables({each for _, own, template in sets for each in (own, template)})
        shared: dict[tuple[int | None, int], Rules] = {}
        for address, own, template in sets:
            key = (own if own in tables else None, template)
            if key not in shared:
                shared[key] = Rules(tables.get(own, _EMPTY), tables.get(template, _EMPTY))
            self.by_address[address] = shared[key]


def _tables(rule_set_ids: Iterable[int]) -> dict[int, LimitTable]:
    """Return the tables of the sets with rules, without the limits, which are not needed here."""
    domains: dict[int, dict[int, list[str]]] = {}
    rows = RuleDomain.objects.filter(rule_set_id__in=sql_lists.ids(rule_set_ids)).order_by("rule_id")
    for rule_set, rule, pattern in rows.values_list("rule_set_id", "rule_id", "pattern"):
        domains.setdefault(rule_set, {}).setdefault(rule, []).append(pattern)
    return {
        rule_set: LimitTable.of(
            (LimitRule(rule, tuple(patterns), 0, 0) for rule, patterns in rules.items()),
            max_concurrent_connections=None,
            max_messages_per_hour=None,
        )
        for rule_set, rules in domains.items()
    }
