"""The limit tables of addresses for throttling.limits."""

from ippools.models import IPAddress
from throttling.limits import LimitTable
from throttling.rule_sets import limit_table, rules_of


def limit_tables(address: IPAddress) -> tuple[LimitTable, LimitTable]:
    """Return the address's own rules and its template's, by two queries (`rules` and `template` should have been joined)."""
    template_rules = address.template.rules
    rules = list(rules_of(address.rules_id, template_rules.pk))
    return (
        limit_table(address.rules, (rule for rule in rules if rule.rule_set_id == address.rules_id)),
        limit_table(template_rules, (rule for rule in rules if rule.rule_set_id == template_rules.pk)),
    )
