"""Stores what conditions find as alerts, which begin, change and end, and notifies channels.

An evaluation may run at any time, twice, or beside itself: what it does follows from the rows and the time.
"""

import dataclasses
import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import structlog
from django.db import transaction
from django.db.models import Exists, OuterRef

from alerts import conditions, measures
from alerts.announcing import announce
from alerts.items import Item
from alerts.models import Alert, Channel, Message
from alerts.scope import PLATFORM, of_organization
from core.locks import advisory
from servers.models import Organization

logger = structlog.get_logger(__name__)

# An alert begins when it is found again after this: two evaluations of one minute. Less than a minute, for tasks come early.
BEGINS_AFTER = datetime.timedelta(seconds=50)
# It ends when it has not been found for so long: what comes and goes within five minutes is one alert.
ENDS_AFTER = datetime.timedelta(minutes=5)
# Of each condition so many records are alerts of their own; more are one alert with their number.
NAMED = 50


@dataclass(frozen=True, slots=True)
class Outcome:
    """The numbers of alerts that began and ended, and of messages that were written."""

    began: int = 0
    ended: int = 0
    messages: int = 0

    def __add__(self, other: "Outcome") -> "Outcome":
        return Outcome(self.began + other.began, self.ended + other.ended, self.messages + other.messages)


def evaluate_all(*, at: datetime.datetime) -> Outcome:
    """Evaluate the conditions of the platform, and of each organization that has a channel or an open alert.

    An organization whose evaluation fails keeps no other from its own; the error is in the log.
    """
    outcome = evaluate(organization=None, at=at)
    for organization in _watched():
        try:
            outcome += evaluate(organization=organization, at=at)
        except Exception:
            logger.exception("alerts_not_evaluated", organization_id=organization.pk)
    return outcome


def _watched() -> list[Organization]:
    channels = Channel.objects.told().filter(organization=OuterRef("pk"))
    alerts = Alert.objects.filter(organization=OuterRef("pk"), ended_at=None)
    return list(Organization.objects.filter(Exists(channels) | Exists(alerts)).order_by("pk"))


def evaluate(*, organization: Organization | None, at: datetime.datetime) -> Outcome:
    """Evaluate all conditions of an organization, or of the platform (None)."""
    scope = dataclasses.replace(PLATFORM if organization is None else of_organization(organization), named=NAMED)
    items = conditions.found(scope, measures.measure(scope, at, worst=NAMED), at)
    return note(organization=organization, items=items, at=at)


def note(*, organization: Organization | None, items: Sequence[Item], at: datetime.datetime) -> Outcome:
    """Write down what has been found: the whole of it, so that an alert that is not among the items is missed."""
    with transaction.atomic():
        # Two that look at once would both begin, and tell of, the same.
        advisory(f"alerts.{organization.pk if organization else 'platform'}")
        rows = {each.key: each for each in Alert.objects.filter(organization=organization, ended_at=None)}
        found = _by_key(items)
        began = sum(_seen(rows.get(key), organization, item, at) for key, item in found.items())
        kinds = {(each.condition, each.is_group) for each in found.values()}
        missed = [row for key, row in rows.items() if key not in found]
        ended = sum(_missed(row, at, is_replaced=(row.condition, not row.is_group) in kinds) for row in missed)
        return Outcome(began, ended, announce(organization=organization, at=at))


def _by_key(items: Iterable[Item]) -> dict[str, Item]:
    """Return the items by key; several with one key are one, of the worst level."""
    found: dict[str, Item] = {}
    for item in items:
        other = found.get(item.key)
        if other is None:
            found[item.key] = item
        elif item.text != other.text:
            level = min(item.level, other.level, key=conditions.LEVELS.index)
            found[item.key] = dataclasses.replace(other, level=level, text=f"{other.text} {item.text}")
    return found


def _seen(row: Alert | None, organization: Organization | None, item: Item, at: datetime.datetime) -> bool:
    """Write that an alert was found; return whether it begins."""
    says = {"level": item.level, "text": item.text, "detail": item.detail, "url": item.url}
    if row is None:
        Alert.objects.create(
            organization=organization,
            condition=item.condition,
            key=item.key,
            is_group=item.is_group,
            since=at,
            **says,
        )
        return False
    # In either direction: the clock that wrote it may have been ahead.
    begins = row.began_at is None and abs(at - row.since) >= BEGINS_AFTER
    columns = {**says, "missed_since": None, **({"began_at": at} if begins else {})}
    changed = [name for name, value in columns.items() if getattr(row, name) != value]
    for name in changed:
        setattr(row, name, columns[name])
    if changed:
        row.save(update_fields=changed)
    return begins


def _missed(row: Alert, at: datetime.datetime, *, is_replaced: bool) -> bool:
    """Write that an alert was not found; return whether it ends."""
    if row.began_at is None:
        row.delete()
        return False
    if row.missed_since is None:
        row.missed_since = at
        row.save(update_fields=["missed_since"])
    if abs(at - row.missed_since) < ENDS_AFTER:
        return False
    row.ended_at, row.is_replaced = max(at, row.began_at), is_replaced
    row.save(update_fields=["ended_at", "is_replaced"])
    return True


def forget_old(*, at: datetime.datetime, kept: datetime.timedelta) -> int:
    """Delete alerts that ended, and messages that were made, before so long; return how many alerts there were.

    A message that is still tried stays.
    """
    Message.objects.filter(created_at__lt=at - kept, due_at=None).delete()
    return Alert.objects.filter(ended_at__lt=at - kept).delete()[1].get("alerts.Alert", 0)
