"""Write messages to channels about alerts that begin, change, continue and end."""

import datetime
from collections import defaultdict
from collections.abc import Sequence

from alerts import wording
from alerts.models import Alert, Channel, Message, Notice
from core import alerts as set_aside
from core.models import SetAside
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

    To PagerDuty, one for each alert. Belongs inside the transaction that wrote the alerts, and under its lock; the notices'
    constraint holds without it.
    """
    channels = list(Channel.objects.told().filter(organization=organization))
    if not channels:
        return 0
    owned = Alert.objects.filter(organization=organization)
    open_ = list(owned.open().filter(missed_since=None).order_by("pk"))
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
            what = _due(channel, alert, told[pair], levels.get(pair), at, aside=aside.get(alert.key))
            if what is not None:
                tellings.append((*what, alert))
        tellings += [(Notice.What.ENDED, 0, alert) for alert in _ended_untold(channel, at)]
        written += _tell(channel, organization, tellings, at)
    return written


def _due(
    channel: Channel,
    alert: Alert,
    told: set[tuple[str, int]],
    level: str | None,
    at: datetime.datetime,
    *,
    aside: SetAside | None,
) -> tuple[Notice.What, int] | None:
    """Return which notice of an open alert the channel gets now, with the day; None: no notice."""
    if not channel.wants(alert.condition, alert.level) or alert.began_at is None:
        return None
    day = max(0, (at - alert.began_at) // _DAY)
    if level is None:
        return Notice.What.BEGAN, 0
    if _WORST_FIRST.index(alert.level) < _WORST_FIRST.index(level):
        return None if (Notice.What.WORSE, day) in told else (Notice.What.WORSE, day)
    if channel.kind == Channel.Kind.PAGERDUTY:
        # It reminds by itself, of what has not been acknowledged. Each acknowledgement has an end of its own.
        last = max(0, (aside.until - alert.began_at) // _DAY) if aside is not None else -1
        return (Notice.What.ACKNOWLEDGED, last) if last >= 0 and (Notice.What.ACKNOWLEDGED, last) not in told else None
    is_due = day > 0 and aside is None and alert.level != Alert.Level.NOTE and (Notice.What.REMINDER, day) not in told
    return (Notice.What.REMINDER, day) if is_due else None


def _ended_untold(channel: Channel, at: datetime.datetime) -> list[Alert]:
    """Return the alerts that ended, of whose beginning the channel was told and of whose end it was not."""
    ended = Alert.objects.filter(ended_at__gt=at - TOLD_WITHIN, is_replaced=False, notices__channel=channel)
    done = Notice.objects.filter(channel=channel, what=Notice.What.ENDED).values("alert_id")
    return list(ended.exclude(pk__in=done).distinct().order_by("pk"))


def _tell(
    channel: Channel, organization: Organization | None, tellings: Sequence[Telling], at: datetime.datetime
) -> int:
    """Write what the channel is told now, and note what it is told later; return the number of messages."""
    digest = channel.digest_due(at)
    if channel.is_quiet(at) or (channel.digest_at is not None and digest is None):
        urgent = [each for each in tellings if channel.urgent_at_once and _is_urgent(channel, each)]
        # A reminder is due again when there is time for it.
        later = [each for each in tellings if each not in urgent and each[0] != Notice.What.REMINDER]
        Notice.objects.bulk_create(_notice(channel, each, is_pending=True) for each in later)
        # Of what became urgent, the beginning is not told once more.
        told = [alert.pk for _, _, alert in urgent]
        Notice.objects.filter(channel=channel, is_pending=True, alert__in=told).update(is_pending=False)
        return _write(channel, organization, urgent, at)
    if digest is not None:
        channel.digested_on = digest
        channel.save(update_fields=["digested_on"])
    pending = Notice.objects.filter(channel=channel, is_pending=True)
    kept = [
        (Notice.What(each.what), each.day, each.alert)
        for each in pending.select_related("alert").order_by("pk")
        # Another alert, of many records or of each, may have taken its place.
        if each.what == Notice.What.ENDED or each.alert.ended_at is None
    ]
    # What is told now, and what was pending, are one: of an alert, its last word.
    written = _write(channel, organization, tellings, at, before=kept)
    pending.update(is_pending=False)
    return written


def _is_urgent(channel: Channel, telling: Telling) -> bool:
    """Whether an alert affects mail; the end of one is as urgent as its beginning was."""
    what, _, alert = telling
    if alert.level != Alert.Level.BAD or what == Notice.What.REMINDER:
        return False
    return what != Notice.What.ENDED or not alert.notices.filter(channel=channel, is_pending=True).exists()


def _write(
    channel: Channel,
    organization: Organization | None,
    tellings: Sequence[Telling],
    at: datetime.datetime,
    *,
    before: Sequence[Telling] = (),
) -> int:
    """Write messages of these tellings, and of `before`, which were noted already; return how many there are."""
    told = _last_words([*before, *tellings])
    if not told:
        return 0
    parts = [[each] for each in told] if channel.kind == Channel.Kind.PAGERDUTY else [told]
    message_of: dict[int, Message] = {}
    for part in parts:
        message = Message(channel=channel, created_at=at, due_at=at, until=at + TRIED_FOR)
        message.subject, message.body = wording.of_alerts(channel, message.uuid, organization, part, at)
        message.save(force_insert=True)
        message_of |= {alert.pk: message for _, _, alert in part}
    Notice.objects.bulk_create(_notice(channel, each, message=message_of[each[2].pk]) for each in tellings)
    return len(parts)


def _last_words(tellings: Sequence[Telling]) -> list[Telling]:
    """Return one telling of each alert: that it ended, or began; what came between is in the alert's text."""
    found: dict[int, Telling] = {}
    for telling in tellings:
        what, _, alert = telling
        known = found.get(alert.pk)
        if known is None or what == Notice.What.ENDED or known[0] == Notice.What.REMINDER:
            found[alert.pk] = telling
    return list(found.values())


def _notice(channel: Channel, telling: Telling, **more: object) -> Notice:
    what, day, alert = telling
    return Notice(alert=alert, channel=channel, what=what, day=day, level=alert.level, **more)
