"""Create, change, delete and test alert channels."""

import datetime
import hashlib
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from redis.exceptions import RedisError

from alerts import confirming, pagerduty, wording
from alerts.conditions import CONDITIONS
from alerts.models import Channel, Message
from core import lockout
from core.acts import locked, save_change
from core.atomic_acts import atomic_act
from core.audit import Actor, record, snapshot
from core.encryption import encrypt
from core.errors import Conflict, Fault, Invalid, QuotaExceeded
from core.locks import advisory
from core.models.user import validate_time_zone
from core.texts import clean_name, is_storable
from servers.models import Organization
from servers.webhook_urls import BadURL, parse

# Channels of one organization, or of the platform.
MOST = 20
# Between two tests of an organization: they go to addresses that somebody wrote into a form.
BETWEEN_TESTS = datetime.timedelta(minutes=1)
# A test is tried for less time than an alert: its sender waits for it.
_TEST_TRIED_FOR = datetime.timedelta(hours=1)
_TIMES = ("quiet_from", "quiet_until", "digest_at")
CHANGEABLE = frozenset({"name", "target", "least", "conditions", "enabled", "time_zone", *_TIMES, "urgent_at_once"})


@atomic_act
def create_channel(*, organization: Organization | None, kind: str, actor: Actor, **columns: Any) -> Channel:
    """Create a channel with `name` and `target`: an e-mail address, a URL or a key, by `kind`. Raises Invalid, QuotaExceeded.

    The mailbox of an e-mail address is asked whether it wants the alerts (confirming); Conflict where it was asked too often.

    It is told of things as they happen, unless it has quiet hours (`quiet_from`, `quiet_until`) or a daily digest
    (`digest_at`): hours of the day in `time_zone`.
    """
    if kind not in Channel.Kind.values:
        raise Invalid(Fault("kind", "is not a kind of channel"))
    advisory(_lock(organization.pk if organization else None))
    if Channel.objects.filter(organization=organization).count() >= MOST:
        raise QuotaExceeded(f"There are {MOST} channels already, which is the most")
    channel = Channel(organization=organization, kind=kind)
    _assign(channel, {"target": "", **columns})
    channel.save(force_insert=True)
    _record(actor, "created", channel, after=snapshot(channel))
    confirming.request(channel)
    return channel


@atomic_act
def change_channel(*, channel: Channel, actor: Actor, **changes: Any) -> Channel:
    """Change what can be given when it is created, but the kind; omitted fields are kept. Raises Invalid and NotFound.

    Another e-mail address is to be confirmed anew; Conflict where its mailbox was asked too often.
    """
    changed = locked(Channel.objects.all(), channel.pk)
    before = snapshot(changed)
    shown = changed.shown_target
    _assign(changed, changes)
    is_another = changed.shown_target != shown
    if is_another:
        changed.confirmed_at = None
    save_change(
        changed,
        before,
        act="channel.changed",
        actor=actor,
        organization_id=changed.organization_id,
        unrecorded={"sealed_target"},
    )
    if is_another:
        confirming.request(changed)
    return changed


@atomic_act
def delete_channel(*, channel: Channel, actor: Actor) -> None:
    """Delete the channel with its messages, those that wait too; raises NotFound."""
    deleted = locked(Channel.objects.all(), channel.pk, no_key=False)
    _record(actor, "deleted", deleted, before=snapshot(deleted))
    deleted.delete()


@atomic_act
def send_test(*, channel: Channel, at: datetime.datetime, actor: Actor) -> Message:
    """Write a test message to the channel; raises Conflict where it is disabled or one was sent a moment ago, and NotFound."""
    advisory(_lock(channel.organization_id))
    tested = locked(Channel.objects.select_related("organization"), channel.pk)
    if not tested.enabled:
        raise Conflict("The channel is disabled")
    if tested.is_unconfirmed:
        raise Conflict("The mailbox has not been confirmed")
    siblings = Channel.objects.filter(organization=tested.organization_id)
    if siblings.filter(tested_at__gt=at - BETWEEN_TESTS).exists():
        raise Conflict("A test was sent less than a minute ago")
    _refuse_flood(tested)
    tested.tested_at = at
    tested.save(update_fields=["tested_at"])
    message = Message(channel=tested, created_at=at, due_at=at, until=at + _TEST_TRIED_FOR)
    message.subject, message.body = wording.of_test(tested, message.uuid, tested.organization, at)
    message.save(force_insert=True)
    if tested.kind == Channel.Kind.PAGERDUTY:
        _, resolved = pagerduty.of_test(message.uuid, "", "")
        Message.objects.create(
            channel=tested, created_at=at, due_at=at, until=message.until, subject="End of a test", body=resolved
        )
    _record(actor, "tested", tested, before={}, after={"message": str(message.uuid)})
    return message


def _refuse_flood(channel: Channel) -> None:
    if channel.kind != Channel.Kind.EMAIL or channel.organization_id is None:
        return
    try:
        # By the address: a channel can be deleted and made again.
        is_within = lockout.count_test(address=channel.shown_target, organization_id=channel.organization_id)
    except (RedisError, OSError):
        raise Conflict("Tests are unavailable because the cache cannot be reached") from None
    if not is_within:
        raise Conflict("Too many tests were sent by e-mail: try again tomorrow")


def _lock(organization_id: int | None) -> str:
    return f"alerts.channels.{organization_id or 'platform'}"


def _assign(channel: Channel, columns: dict[str, Any]) -> None:
    if unknown := set(columns) - CHANGEABLE:
        raise TypeError(f"{', '.join(sorted(unknown))} cannot be set by this act")
    given = dict(columns)
    faults: list[Fault] = []
    if "name" in given or channel._state.adding:
        channel.name = clean_name(given.pop("name", ""))
    if "target" in given:
        faults += _aim(channel, str(given.pop("target")).strip())
    for name, value in given.items():
        setattr(channel, name, value)
    if channel.least not in Channel.Least.values:
        faults.append(Fault("least", "is not a severity"))
    if not isinstance(channel.conditions, list) or set(map(str, channel.conditions)) - CONDITIONS.keys():
        faults.append(Fault("conditions", "are not all known"))
    faults += _time_faults(channel)
    if faults:
        raise Invalid(*faults)


def _time_faults(channel: Channel) -> list[Fault]:
    """Return what is wrong with when the channel is told; the table's constraints refuse the same."""
    faults = [
        Fault(name, "must be an hour from 0 to 23")
        for name in _TIMES
        if (hour := getattr(channel, name)) is not None and (type(hour) is not int or not 0 <= hour <= 23)
    ]
    try:
        validate_time_zone(channel.time_zone)
    except ValidationError:
        faults.append(Fault("time_zone", "is not the name of a time zone"))
    if (channel.quiet_from is None) != (channel.quiet_until is None):
        faults.append(Fault("quiet_until", "is needed together with the beginning of the quiet hours"))
    elif channel.quiet_from is not None and channel.quiet_from == channel.quiet_until:
        faults.append(Fault("quiet_until", "must be another hour than that at which the quiet hours begin"))
    if channel.kind == Channel.Kind.PAGERDUTY:
        given = (name for name in ("digest_at", "quiet_from") if getattr(channel, name) is not None)
        faults += [Fault(name, "is left to PagerDuty, which has schedules of its own") for name in given]
    elif channel.digest_at is not None and channel.quiet_from is not None:
        faults.append(Fault("digest_at", "cannot be combined with quiet hours"))
    return faults


def _aim(channel: Channel, target: str) -> list[Fault]:
    """Set the target, encrypted, if it is another; return what is wrong with it."""
    try:
        shown = _shown(channel.kind, target)
    except ValueError as problem:
        return [Fault("target", str(problem))]
    if shown != channel.shown_target:
        channel.sealed_target, channel.shown_target = encrypt(target), shown
    return []


def _shown(kind: str, target: str) -> str:
    """Return what is shown of a target; raises ValueError with the end of a sentence."""
    if not target or not is_storable(target):
        raise ValueError("is required, without control characters")
    if kind == Channel.Kind.EMAIL:
        try:
            validate_email(target)
        except ValidationError:
            raise ValueError("must be an e-mail address") from None
        return target
    if kind == Channel.Kind.PAGERDUTY:
        if not pagerduty.ROUTING_KEY.fullmatch(target):
            raise ValueError("must be an integration key of 32 letters and digits")
        return f"PagerDuty ({hashlib.sha256(target.encode()).hexdigest()[:8]})"
    try:
        host = parse(target).host
    except BadURL as problem:
        raise ValueError(str(problem)) from None
    # Enough to see that it is another, and nothing to call it by.
    return f"{host} ({hashlib.sha256(target.encode()).hexdigest()[:8]})"


def _record(actor: Actor, verb: str, channel: Channel, **states: Any) -> None:
    record(actor=actor, act=f"channel.{verb}", target=channel, organization_id=channel.organization_id, **states)
