"""The effects of changed throttling rules: which limits differ, whose mail they are for, and what they would have delayed."""

import datetime

from django.db.models import QuerySet

from core.texts import counted
from ippools.models import IPAddress
from nodes.access import send_by
from nodes.counted_replay import MOST_ADDRESSES, replay_counts
from nodes.policy.rehearsal import sentences_of
from panel.formatting import limits_in_words
from panel.forms.previews import Effect
from servers.models import Server
from throttling import rule_sets
from throttling.limits import LimitRule, LimitTable
from throttling.models import RuleSet, ThrottleProgram, ThrottlingTemplate

OTHER_DOMAINS = "all other domains"


def of_template(template: ThrottlingTemplate, before: LimitTable, *, now: datetime.datetime) -> Effect | None:
    """Return the effects of a change of the template on its addresses; None: nothing."""
    after = table_of(template.rules)
    lines = changed_limits(before, after)
    addresses = template.ip_addresses.all()
    total = addresses.count()
    if not total or not lines:
        return None
    own = addresses.filter(rules__rules__isnull=False).distinct().count()
    patterns = counted(len(lines), "domain pattern", "domain patterns")
    summary = f"{counted(total, 'address', 'addresses')} with this template: other limits for {patterns}."
    if own:
        summary += f" {counted(own, 'of them has', 'of them have')} own rules, which come before these."
    return Effect(summary, lines, _notes(addresses, before, after, now=now))


def of_address(address: IPAddress, before: tuple[str, LimitTable], *, now: datetime.datetime) -> Effect | None:
    """Return the effects of a change of the address on its mail; `before` is what `state_of_address` returned."""
    template, own = before
    after = table_of(address.rules)
    lines = changed_limits(own, after)
    if template != address.template.name:
        lines.insert(0, ("what no own rule is for", f"template {template}", f"template {address.template.name}"))
    if not lines:
        return None
    notes = _notes(IPAddress.objects.filter(pk=address.pk), own, after, now=now)
    return Effect("Other limits for the mail that leaves by this address.", lines, notes)


def state_of_address(pk: int) -> tuple[str, LimitTable]:
    """Return the name of the address's template and its own rules, as they are in the database now."""
    address = IPAddress.objects.select_related("template", "rules").get(pk=pk)
    return address.template.name, table_of(address.rules)


def table_of(rule_set: RuleSet) -> LimitTable:
    """Return the rules by pattern, as they are in the database now."""
    return rule_sets.limit_table(rule_set, rule_sets.rules_of(rule_set.pk))


def changed_limits(before: LimitTable, after: LimitTable) -> list[tuple[str, str, str]]:
    """Return each pattern whose limits differ between two tables, with both as text; the default comes first."""
    programs = dict(ThrottleProgram.objects.values_list("pk", "name"))
    lines = []
    old, new = (
        limits_in_words(each.max_concurrent_connections, each.max_messages_per_hour) for each in (before, after)
    )
    if old != new:
        lines.append((OTHER_DOMAINS, old, new))
    for pattern in sorted({*before.rule_of, *after.rule_of}):
        old, new = (_in_words(each.rule_of.get(pattern), programs) for each in (before, after))
        if old != new:
            lines.append((pattern, old, new))
    return lines


def _in_words(rule: LimitRule | None, programs: dict[int, str]) -> str:
    if rule is None:
        return "no rule"
    words = limits_in_words(rule.max_concurrent_connections, rule.max_messages_per_hour)
    return f"{words}, {programs[rule.throttle_program_id]}" if rule.throttle_program_id else words


def _notes(
    addresses: QuerySet[IPAddress], before: LimitTable, after: LimitTable, *, now: datetime.datetime
) -> list[str]:
    servers = Server.objects.filter(send_by(addresses), deleted_at=None).order_by()
    customers = servers.values("organization_id").distinct().count()
    notes = []
    if customers:
        notes.append(
            f"{counted(servers.count(), 'server', 'servers')} of {counted(customers, 'customer', 'customers')}"
            " can send by these addresses."
        )
    ip_of = dict(addresses.order_by("pk").values_list("pk", "ipv4")[: MOST_ADDRESSES + 1])
    if len(ip_of) > MOST_ADDRESSES:
        notes.append(f"The last seven days of more than {MOST_ADDRESSES:,} addresses are not replayed here.")
        return notes
    found = replay_counts(ip_of, before, after, now=now)
    notes += [f"In the last seven days, {line}." for line in sentences_of(found.delays)]
    if not found.is_whole:
        notes.append(
            "For domains that come under another rule or the default, Revisions → Publish can replay the events still held."
        )
    return notes
