"""Write messages to channels about alerts that begin, change, continue and end."""

import datetime
from collections import defaultdict

from alerts import wording
from alerts.models import Alert, Channel, Message, Notice
from core import alerts as set_aside
from servers.models import Organization

# For so long a message is tried.
TRIED_FOR = datetime.timedelta(days=3)
# A channel that was disabled gets no message about what ended longer ago.
TOLD_WITHIN = datetime.timedelta(days=1)
_DAY = datetime.timedelta(days=1)
_WORST_FIRST = ("bad", "warn", "note")

type Telling = tuple[Notice.What, int, Alert]


def announce(*, organization: Organization | None, at: datetime.datetime) -> int:
    """Write one message to each channel that has something new to report, and return how many.

    Belongs inside the transaction that wrote the alerts, and under its lock; the notices' constraint holds without it.
    """
    channels = list(Channel.objects.filter(organization=organization, enabled=True))
    if not channels:
        return 0
    owned = Alert.objects.filter(organization=organization)
    open_ = list(owned.open().filter(missed_since=None))
    told: dict[tuple[int, int], set[tuple[str, int]]] = defaultdict(set)
    levels: dict[tuple[int, int], str] = {}
    for notice in Notice.objects.filter(channel__in=channels, alert__in=owned.open()):
        told[notice.channel_id, notice.alert_id].add((notice.what, notice.day))
        levels[notice.channel_id, notice.alert_id] = min(
            notice.level, levels.get((notice.channel_id, notice.alert_id), "note"), key=_WORST_FIRST.index
        )
    audience = "platform" if organization is None else f"organization:{organization.pk}"
    aside = set_aside.in_force(audience=audience, at=at)
    written = 0
    for channel in channels:
        tellings: list[Telling] = []
        for alert in open_:
            pair = channel.pk, alert.pk
            what = _due(channel, alert, told[pair], levels.get(pair), at, is_aside=alert.key in aside)
            if what is not None:
                tellings.append((*what, alert))
        tellings += [(Notice.What.ENDED, 0, alert) for alert in _ended_untold(channel, at)]
        if tellings:
            _write(channel, organization, tellings, at)
            written += 1
    return written


def _due(
    channel: Channel,
    alert: Alert,
    told: set[tuple[str, int]],
    level: str | None,
    at: datetime.datetime,
    *,
    is_aside: bool,
) -> tuple[Notice.What, int] | None:
    """Return which notice of an open alert the channel gets now, with the day; None: no notice."""
    if not channel.wants(alert.condition, alert.level) or alert.began_at is None:
        return None
    day = max(0, (at - alert.began_at) // _DAY)
    if level is None:
        return Notice.What.BEGAN, 0
    if _WORST_FIRST.index(alert.level) < _WORST_FIRST.index(level):
        return None if (Notice.What.WORSE, day) in told else (Notice.What.WORSE, day)
    is_due = day > 0 and not is_aside and alert.level != Alert.Level.NOTE and (Notice.What.REMINDER, day) not in told
    return (Notice.What.REMINDER, day) if is_due else None


def _ended_untold(channel: Channel, at: datetime.datetime) -> list[Alert]:
    """Return the alerts that ended, of whose beginning the channel was told and of whose end it was not."""
    ended = Alert.objects.filter(ended_at__gt=at - TOLD_WITHIN, is_replaced=False, notices__channel=channel)
    done = Notice.objects.filter(channel=channel, what=Notice.What.ENDED).values("alert_id")
    return list(ended.exclude(pk__in=done).distinct())


def _write(
    channel: Channel, organization: Organization | None, tellings: list[Telling], at: datetime.datetime
) -> Message:
    message = Message(channel=channel, created_at=at, due_at=at, until=at + TRIED_FOR)
    message.subject, message.body = wording.of_alerts(channel, message.uuid, organization, tellings, at)
    message.save(force_insert=True)
    Notice.objects.bulk_create(
        Notice(alert=alert, channel=channel, what=what, day=day, level=alert.level, message=message)
        for what, day, alert in tellings
    )
    return message
