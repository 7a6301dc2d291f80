"""The text of a weekly report: volume, rates, problems."""

import dataclasses
import datetime
import zoneinfo

from django.db.models import Q

from alerts import conditions, measures
from alerts.models import Alert
from alerts.scope import Scope, of_organization
from servers.models import Organization
from stats.counts import buckets
from stats.counts.buckets import Grain
from stats.models import ServerCount
from stats.reports import queries
from stats.reports.reader import ZERO, Counts, rows_of, sums_of
from stats.reports.reputation import accepted_share

# So many servers, alerts of the week, and lines of what is wrong now are named.
SERVERS, ALERTS, NOW = 10, 20, 10
_WEEK = datetime.timedelta(days=7)


def zone_of(organization: Organization) -> zoneinfo.ZoneInfo:
    return zoneinfo.ZoneInfo(organization.time_zone)


def of_week(organization: Organization, week_on: datetime.date, at: datetime.datetime) -> tuple[str, str]:
    """Return subject and text of the report of a week."""
    scope = of_organization(organization)
    week, before = _sums(scope, week_on), _sums(scope, week_on - _WEEK)
    subject = f"Weekly report of {organization.name}: {week.sent:,} messages sent"
    lines = [f"Weekly report of {organization.name}", _span(week_on), "", *_figures(week, before)]
    lines += ["", "Servers", *_servers(scope, week_on)]
    lines += ["", "What was wrong", *_alerts(organization, week_on)]
    lines += ["", "What is wrong now", *_now(scope, at)]
    return " ".join(subject.split())[:200], "\n".join(lines) + "\n"


def _span(week_on: datetime.date) -> str:
    last = week_on + _WEEK - datetime.timedelta(days=1)
    return f"{week_on:%A, %-d %B %Y} to {last:%A, %-d %B %Y}, in UTC"


def _days(week_on: datetime.date) -> range:
    first = buckets.day_number(week_on)
    return range(first, first + 7)


def _sums(scope: Scope, week_on: datetime.date) -> Counts:
    found = sums_of(rows_of(ServerCount, Grain.DAY, _days(week_on), server_id=scope.server_ids), "grain")
    return next(iter(found.values()), ZERO)


def _figures(week: Counts, before: Counts) -> list[str]:
    rows = [(name.capitalize(), getattr(week, name), getattr(before, name)) for name in ("sent", "deferred", "bounced")]
    lines = [f"  {name + ':':13}{number:>12,}{_change(number, past)}" for name, number, past in rows]
    lines.append(f"  {'Complaints:':13}{week.complaint:>12,}  ({_share(_rate(week))} of what was sent)")
    share, past = accepted_share(week), accepted_share(before)
    if share is not None:
        beside = f"  (the week before: {_share(past, 1)})" if past is not None else ""
        lines.append(f"  {'Accepted:':13}{_share(share, 1):>12}{beside}")
    return lines


def _change(number: int, past: int) -> str:
    if not past:
        return "  (the week before: 0)"
    percent = round((number - past) * 100 / past)
    return f"  ({percent:+d} % on {past:,} of the week before)".replace("-", "−")


def _rate(counts: Counts) -> float | None:
    return counts.complaint / counts.sent if counts.sent else None


def _share(share: float | None, places: int = 2) -> str:
    return "–" if share is None else f"{100 * share:.{places}f} %"


def _servers(scope: Scope, week_on: datetime.date) -> list[str]:
    days = _days(week_on)
    busiest = queries.busiest_servers(scope.server_ids, days[0], days[-1], limit=SERVERS)
    lines = [
        f"  {each.name}: {each.counts.sent:,} sent, {_share(accepted_share(each.counts), 1)} accepted,"
        f" {_share(_rate(each.counts))} complaints"
        for each in busiest
    ]
    more = len(scope.server_ids or ()) - len(busiest)
    if len(busiest) == SERVERS and more > 0:
        lines.append(f"  and {more} more")
    return lines or ["  None sent mail."]


def _alerts(organization: Organization, week_on: datetime.date) -> list[str]:
    """Return the alerts of the week that were more than intended; they are written down where there is a channel."""
    begins, ends = (buckets.start_of_day(buckets.day_number(day)) for day in (week_on, week_on + _WEEK))
    rows = Alert.objects.begun().filter(organization=organization, since__lt=ends, is_replaced=False)
    rows = (
        rows.filter(Q(ended_at=None) | Q(ended_at__gte=begins)).exclude(level=Alert.Level.NOTE).order_by("since", "pk")
    )
    found = list(rows[: ALERTS + 1])
    if not found:
        watched = organization.alert_channels.filter(enabled=True).exists()
        return ["  Nothing." if watched else "  This is written down once there is an alert channel."]
    lines = [
        f"  {_clock(each.since)} to {_clock(each.ended_at) if each.ended_at else 'now'}: {' '.join(each.text.split())}"
        for each in found[:ALERTS]
    ]
    return [*lines, f"  and {rows.count() - ALERTS} more"] if len(found) > ALERTS else lines


def _now(scope: Scope, at: datetime.datetime) -> list[str]:
    scope = dataclasses.replace(scope, named=NOW)
    items = conditions.found(scope, measures.measure(scope, at, worst=NOW), at)
    lines = [f"  {' '.join(each.text.split())}" for each in items if each.level != "note"]
    more = [f"  and {len(lines) - NOW} more"] if len(lines) > NOW else []
    return [*lines[:NOW], *more] or ["  Nothing."]


def _clock(at: datetime.datetime) -> str:
    return at.astimezone(datetime.UTC).strftime("%-d %b %H:%M")
