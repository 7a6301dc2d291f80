"""Weekly reports of organizations by e-mail: who gets them, and how a person stops them."""

import datetime
from dataclasses import dataclass

import structlog
from django.conf import settings
from django.core import signing
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from alerts import report_text
from alerts.models import Message, Report, ReportOptOut
from core import letters
from core.atomic_acts import atomic_act
from core.audit import Actor, record
from core.errors import NotFound
from core.locks import advisory
from core.models import User
from servers.models import Membership, Organization
from stats.counts import buckets
from stats.counts.buckets import Grain
from stats.ledger.database import across
from stats.models import ServerCount

logger = structlog.get_logger(__name__)

# The hour of Monday, in the organization's time zone, from which on the report of the last week is sent.
SENT_AT = 7
# Counts of a week are whole when its last day (UTC) was closed.
_COUNTED_AFTER = datetime.timedelta(hours=1)
TRIED_FOR = datetime.timedelta(days=3)
# Organizations of one run: the rest is done by the next.
MOST = 200
_SALT = "alerts.reports.stop"
_WEEK = datetime.timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Subscription:
    """One organization of a person, and whether its reports are sent to him or her."""

    organization: Organization
    is_wanted: bool


# --- Writing ----------------------------------------------------------------------------------------------------------


def last_week(at: datetime.datetime) -> datetime.date:
    """Return the Monday of the last week that is counted whole."""
    today = (at - _COUNTED_AFTER).astimezone(datetime.UTC).date()
    return today - datetime.timedelta(days=today.weekday()) - _WEEK


def write_due(*, at: datetime.datetime) -> int:
    """Write the reports that are due and not written yet; return how many e-mails that is.

    May run at any time, twice, or beside itself: a constraint says that each is written once. An organization whose report
    fails keeps no other from its own; the error is in the log.
    """
    week_on, written = last_week(at), 0
    for organization in _due(week_on)[:MOST]:
        if at < _sent_from(organization, week_on):
            continue
        try:
            written += _write(organization, week_on, at)
        except Exception:
            logger.exception("report_not_written", organization_id=organization.pk)
    return written


def _due(week_on: datetime.date) -> QuerySet[Organization]:
    """Return the organizations with mail in the two weeks, and with people whose report is not written."""
    first = buckets.day_number(week_on - _WEEK)
    counted = across(
        ServerCount.objects.filter(grain=Grain.DAY, bucket__in=range(first, first + 14)).values("server_id")
    )
    waiting = _recipients(week_on).filter(organization=OuterRef("pk"))
    return Organization.objects.filter(Exists(waiting), servers__in=counted).distinct().order_by("pk")


def _recipients(week_on: datetime.date) -> QuerySet[Membership]:
    """Return the memberships of people with an address, who want the report of this week and have none yet."""
    whose = {"organization": OuterRef("organization"), "user": OuterRef("user")}
    return (
        Membership.objects.filter(user__is_active=True)
        .exclude(user__email="")
        .exclude(Exists(ReportOptOut.objects.filter(**whose)))
        .exclude(Exists(Report.objects.filter(**whose, week_on=week_on)))
    )


def _sent_from(organization: Organization, week_on: datetime.date) -> datetime.datetime:
    """Return when the report of a week is due: on the Monday after it, which in the west begins after the week was counted."""
    monday = week_on + _WEEK
    return datetime.datetime.combine(monday, datetime.time(SENT_AT), report_text.zone_of(organization))


@transaction.atomic
def _write(organization: Organization, week_on: datetime.date, at: datetime.datetime) -> int:
    advisory(f"alerts.reports.{organization.pk}")
    people = list(_recipients(week_on).filter(organization=organization).select_related("user").order_by("pk"))
    if not people:
        return 0
    subject, text = report_text.of_week(organization, week_on, at)
    for membership in people:
        report = Report.objects.create(organization=organization, user=membership.user, week_on=week_on)
        role = membership.get_role_display().split(" ")[0].lower()
        body = f"{text}\n{_footer(membership.user, organization, role)}\n"
        Message.objects.create(
            report=report, subject=subject, body=body, created_at=at, due_at=at, until=at + TRIED_FOR
        )
    return len(people)


def _footer(user: User, organization: Organization, role: str) -> str:
    link = stop_url(user.pk, organization.pk)
    how = f"stop them: {link}" if link else "“Your account” in the panel stops them."
    return f"-- \nThis is sent every Monday to the {role}s of {organization.name}. To get no more of them, {how}"


# --- Who wants them ---------------------------------------------------------------------------------------------------


def is_wanted(report: Report) -> bool:
    """Whether the person is still one of the organization's people, and has not stopped the reports. Two queries."""
    member = Membership.objects.filter(organization=report.organization_id, user=report.user_id, user__is_active=True)
    stopped = ReportOptOut.objects.filter(organization=report.organization_id, user=report.user_id)
    return member.exists() and not stopped.exists()


def subscriptions(user: User) -> list[Subscription]:
    """Return the person's organizations, and whether their reports are sent. One query."""
    stopped = ReportOptOut.objects.filter(organization=OuterRef("pk"), user=user)
    rows = Organization.objects.filter(memberships__user=user).annotate(is_stopped=Exists(stopped)).order_by("name_key")
    return [Subscription(each, not each.is_stopped) for each in rows]


@atomic_act
def stop_reports(*, user: User, organization: Organization, actor: Actor) -> bool:
    """Send the person no more reports of the organization; return whether that is a change. Raises NotFound."""
    _refuse_strangers(user, organization)
    _, is_new = ReportOptOut.objects.get_or_create(user=user, organization=organization)
    if is_new:
        _record(actor, "stopped", user, organization)
    return is_new


@atomic_act
def resume_reports(*, user: User, organization: Organization, actor: Actor) -> bool:
    """Send the person the reports of the organization again; return whether that is a change. Raises NotFound."""
    _refuse_strangers(user, organization)
    found, _ = ReportOptOut.objects.filter(user=user, organization=organization).delete()
    if found:
        _record(actor, "resumed", user, organization)
    return bool(found)


def _refuse_strangers(user: User, organization: Organization) -> None:
    if not Membership.objects.filter(user=user, organization=organization).exists():
        raise NotFound("The organization could not be found")


def _record(actor: Actor, verb: str, user: User, organization: Organization) -> None:
    record(
        actor=actor,
        act=f"reports.{verb}",
        target=user,
        after={"organization": organization.name},
        organization_id=organization.pk,
    )


# --- The link ---------------------------------------------------------------------------------------------------------


def stop_url(user_id: int, organization_id: int) -> str:
    """Return the signed link that stops the reports; "" where the panel's address is not known."""
    if not settings.SLUICE_PANEL_URL:
        return ""
    return letters.url_of("stop-reports", signing.dumps([user_id, organization_id], salt=_SALT))


def of_token(token: str) -> tuple[User, Organization]:
    """Return whose reports of what a link stops; raises NotFound, also for people who are no longer the organization's."""
    try:
        user_id, organization_id = signing.loads(token, salt=_SALT)
    except (signing.BadSignature, ValueError, TypeError):
        raise NotFound("This link is not valid") from None
    membership = Membership.objects.filter(user=user_id, organization=organization_id)
    found = membership.select_related("user", "organization").first()
    if found is None:
        raise NotFound("This link is not valid")
    return found.user, found.organization


def forget_old(*, at: datetime.datetime, kept: datetime.timedelta) -> int:
    """Delete reports of weeks that ended before so long, with their messages; return how many there were."""
    old = Report.objects.filter(week_on__lt=(at - kept).date() - _WEEK)
    return old.delete()[1].get("alerts.Report", 0)
