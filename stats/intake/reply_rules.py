"""Operators' reply rules: create, change, delete.

A change applies to later events. A rebuild classifies the replies of the days whose events are stored again.
"""

from django.db import transaction

from core.acts import locked, save_change
from core.atomic_acts import atomic_act
from core.audit import Actor, record, snapshot
from core.errors import Fault, Invalid
from core.texts import is_storable
from stats import reasons
from stats.intake import replies
from stats.intake.replies import BadRule, Rule
from stats.models import ReplyRule

MOST_RULES = 500
_FIELDS = ("position", "provider", "code", "pattern", "reason", "note")
_LENGTHS = {"provider": 100, "code": 200, "pattern": 1000, "note": 300}


@atomic_act
def create_rule(
    *,
    reason: int,
    actor: Actor,
    pattern: str = "",
    code: str = "",
    provider: str = "",
    position: int = 0,
    note: str = "",
) -> ReplyRule:
    """Add a rule; raises Invalid if it is invalid, or there are too many."""
    if ReplyRule.objects.count() >= MOST_RULES:
        raise Invalid(Fault("", f"There can be at most {MOST_RULES} rules"))
    rule = ReplyRule(reason=reason, pattern=pattern, code=code, provider=provider, position=position, note=note)
    _check(rule)
    rule.save(force_insert=True)
    record(actor=actor, act="reply_rule.created", target=rule, after=snapshot(rule))
    return rule


@atomic_act
def change_rule(*, rule: ReplyRule, actor: Actor, **values: object) -> ReplyRule:
    """Change the given fields of a rule; raises Invalid."""
    changed = locked(ReplyRule.objects.all(), rule.pk, no_key=False)
    before = snapshot(changed)
    for field, value in values.items():
        if field not in _FIELDS:
            raise TypeError(f"change_rule() cannot change {field}")
        setattr(changed, field, value)
    _check(changed)
    save_change(changed, before, act="reply_rule.changed", actor=actor)
    return changed


@transaction.atomic
def delete_rule(*, rule: ReplyRule, actor: Actor) -> None:
    """Delete a rule; raises NotFound."""
    deleted = locked(ReplyRule.objects.all(), rule.pk, no_key=False)
    record(actor=actor, act="reply_rule.deleted", target=deleted, before=snapshot(deleted))
    deleted.delete()


def _check(rule: ReplyRule) -> None:
    faults = []
    for name, longest in _LENGTHS.items():
        text = getattr(rule, name).strip()
        setattr(rule, name, text)
        if len(text) > longest or not is_storable(text):
            faults.append(Fault(name, f"must be at most {longest} characters, without control characters"))
    if rule.reason not in reasons.WORDS or rule.reason == reasons.Reason.UNKNOWN:
        faults.append(Fault("reason", "must be a class of replies"))
    if not rule.pattern and not rule.code:
        faults.append(Fault("pattern", "is required where no code is given"))
    if not faults:
        try:
            replies.check_rule(Rule("own", rule.provider, rule.code, rule.pattern, reasons.WORDS[rule.reason]))
        except BadRule as problem:
            faults.append(Fault("pattern", f"cannot be used: {problem}"))
    if faults:
        raise Invalid(*faults)
