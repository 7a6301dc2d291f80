"""Messages sent: each claimed by one worker, tried again until it is taken or its time is over."""

import datetime
import smtplib
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

import structlog
from django.conf import settings
from django.core.mail import EmailMessage
from django.db.models import Exists, F, OuterRef, Q

from alerts import pagerduty, reports
from alerts.announcing import TRIED_FOR
from alerts.models import Channel, Message, Report
from core.encryption import decrypt
from webhooks import signing
from webhooks.calling import call
from webhooks.resolving import resolve

logger = structlog.get_logger(__name__)

# Between attempts: doubled from the first to the longest.
FIRST_WAIT = datetime.timedelta(minutes=1)
LONGEST_WAIT = datetime.timedelta(minutes=15)
# After this a message that was claimed is taken for lost: its worker was killed.
LOST_AFTER = datetime.timedelta(minutes=5)
# Seconds that the receivers of one organization may take of a run: then the others come first, for so long.
SECONDS_OF_ONE = 3.0
OTHERS_FIRST_FOR = datetime.timedelta(seconds=15)
_MOST_ERROR = 300


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a message was not taken, and whether no mail can be sent now, to whomever."""

    error: str
    is_mail_down: bool = False
    # Whether trying again would be answered the same.
    is_final: bool = False


def run(*, clock: Callable[[], datetime.datetime], seconds: float) -> int:
    """Send what is due for so many seconds, and return how many messages were taken.

    New messages go before those that failed; of a channel that fails, the others wait for the next run. So does all mail when
    the mail server is down: the other channels do not wait for its time-outs. Nor does an organization wait for receivers of
    another, however many there are and whether they answer late or not at all.
    """
    end = time.monotonic() + seconds
    left_out = Q(pk=None)
    sent = 0
    seconds_of: defaultdict[int, float] = defaultdict(float)
    bring_forward(at=clock())
    give_up(at=clock())
    while (began := time.monotonic()) < end and (message := claim(at=clock(), without=left_out)):
        problem = _attempt(message, clock())
        _write(message, problem, clock())
        _let_others_pass(message, time.monotonic() - began, seconds_of, clock())
        if problem is None:
            sent += 1
            continue
        if problem.is_mail_down:
            left_out |= Q(channel__kind=Channel.Kind.EMAIL) | Q(channel=None)
        elif message.channel_id is not None:
            left_out |= Q(channel=message.channel_id)
        logger.info("alert_not_sent", message=str(message.uuid), attempts=message.attempts, cause=problem.error)
    return sent


def claim(*, at: datetime.datetime, without: Q) -> Message | None:
    """Take the next due message; of workers that claim at once, one gets it.

    Of PagerDuty's, the first that waits: an incident that is resolved before it is triggered would stay.
    """
    earlier = Message.objects.filter(channel=OuterRef("channel"), pk__lt=OuterRef("pk"), state=Message.State.WAITING)
    out_of_turn = Q(channel__kind=Channel.Kind.PAGERDUTY) & Exists(earlier)
    rows = Message.objects.due(at).exclude(without).exclude(out_of_turn).order_by("attempts", "due_at", "pk")
    while (message := rows.select_related("channel", "report__user").first()) is not None:
        mine = Message.objects.filter(pk=message.pk, due_at=message.due_at, attempts=message.attempts)
        if mine.update(due_at=at + LOST_AFTER, attempts=F("attempts") + 1):
            message.attempts += 1
            return message
    return None


def bring_forward(*, at: datetime.datetime) -> int:
    """Make due what a clock that was ahead has put off for longer than any wait; return the number of messages."""
    put_off = Message.objects.filter(due_at__gt=at + 2 * LONGEST_WAIT)
    return put_off.update(due_at=at, until=at + TRIED_FOR)


def give_up(*, at: datetime.datetime) -> int:
    """End what was tried for long enough, and what waits for a disabled channel; return how many there were."""
    return Message.objects.filter(due_at__lte=at, until__lt=at).update(state=Message.State.FAILED, due_at=None)


def wait(attempts: int) -> datetime.timedelta:
    """Return how long after its last attempt, one of so many, a message is tried again."""
    return min(FIRST_WAIT * (1 << min(attempts - 1, 10)), LONGEST_WAIT)


def _attempt(message: Message, at: datetime.datetime) -> Problem | None:
    """Send the message; return why it was not taken, None if it was."""
    channel, report = message.channel, message.report
    if channel is None:
        if report is None or not reports.is_wanted(report):
            return Problem("The person wants no reports, or is no longer one of the organization", is_final=True)
        return _mail(message, report.user.email, _of_report(report))
    target = decrypt(channel.sealed_target)
    if channel.kind == Channel.Kind.EMAIL:
        return _mail(message, target, {})
    body, url = message.body.encode(), target
    headers = {"Content-Type": "application/json", "User-Agent": "Sluice"}
    if channel.kind == Channel.Kind.WEBHOOK:
        headers |= signing.signer(at=at).headers(body)
    if channel.kind == Channel.Kind.PAGERDUTY:
        body, url = pagerduty.with_key(message.body, target), settings.SLUICE_PAGERDUTY_URL
    outcome = call(url, body=body, headers=headers, resolve=resolve)
    if outcome.is_success:
        return None
    # Of a URL, 400 may be the fault of something before the receiver; PagerDuty says so of an event, or of the key.
    is_final = channel.kind == Channel.Kind.PAGERDUTY and outcome.status == HTTPStatus.BAD_REQUEST
    return Problem(outcome.error or f"The answer was {outcome.status}", is_final=is_final)


def _let_others_pass(
    message: Message, seconds: float, seconds_of: defaultdict[int, float], at: datetime.datetime
) -> None:
    """Put off what is due to an organization's receivers that have taken their part of the run. E-mail is the platform's."""
    channel = message.channel
    if channel is None or channel.organization_id is None or channel.kind == Channel.Kind.EMAIL:
        return
    seconds_of[channel.organization_id] += seconds
    if seconds_of[channel.organization_id] >= SECONDS_OF_ONE:
        theirs = Channel.objects.filter(organization=channel.organization_id).exclude(kind=Channel.Kind.EMAIL)
        Message.objects.due(at).filter(channel__in=theirs).update(due_at=at + OTHERS_FIRST_FOR)


def _of_report(report: Report) -> dict[str, str]:
    """Return the headers by which a mail program stops the reports with one click (RFC 8058)."""
    link = reports.stop_url(report.user_id, report.organization_id)
    return {"List-Unsubscribe": f"<{link}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"} if link else {}


def _mail(message: Message, address: str, more: Mapping[str, str]) -> Problem | None:
    domain = settings.DEFAULT_FROM_EMAIL.rpartition("@")[2].strip("> ")
    # Whoever answers automatically does not answer these (RFC 3834).
    headers = {"Message-ID": f"<{message.uuid}@{domain}>", "Auto-Submitted": "auto-generated", **more}
    try:
        EmailMessage(message.subject, message.body, None, [address], headers=headers).send()
    except smtplib.SMTPRecipientsRefused as refused:
        return Problem(_short("; ".join(f"{code} {reason!r}" for code, reason in refused.recipients.values())))
    except smtplib.SMTPDataError as refused:
        return Problem(_short(str(refused)))
    except ValueError as problem:
        return Problem(_short(str(problem)))
    except OSError as problem:
        # smtplib's other errors are of this class too: no connection, no login, no greeting.
        return Problem(_short(str(problem) or type(problem).__name__), is_mail_down=True)
    return None


def _short(text: str) -> str:
    return "".join(each if each.isprintable() else " " for each in text)[:_MOST_ERROR]


def _write(message: Message, problem: Problem | None, at: datetime.datetime) -> None:
    """Write down what came of an attempt. What was taken for lost and claimed by another meanwhile is the other's to write."""
    state, due_at = Message.State.SENT, None
    if problem is not None:
        again = at + wait(message.attempts)
        is_over = problem.is_final or again > message.until
        state, due_at = (Message.State.FAILED, None) if is_over else (Message.State.WAITING, again)
    mine = Message.objects.filter(pk=message.pk, attempts=message.attempts, state=Message.State.WAITING)
    mine.update(state=state, due_at=due_at, attempted_at=at, error=problem.error[:_MOST_ERROR] if problem else "")
