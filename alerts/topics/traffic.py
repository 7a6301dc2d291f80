"""Servers that are silent against their own habit, and those whose recipients complain: what hours and days say of servers."""

from typing import Any

from django.db.models import Count, Exists, F, Max, Q, QuerySet, Sum, TextField
from django.db.models.expressions import RawSQL

from alerts import habit
from alerts.asking import Answers, Given, Question, Row
from alerts.items import Group, Item, lines
from alerts.links import change_url
from alerts.scope import Scope, among
from alerts.topics.look import HOURS, MOMENT, Look, days
from core import sql_lists
from servers.models import Server
from stats.counts.buckets import Grain
from stats.ledger.database import ALIAS, IS_APART
from stats.models import Batch, ServerCount
from stats.reports.health import LONGEST_LAG
from stats.reports.reader import Beside

DAYS = 7
# Fewer messages, or fewer complaints, say nothing of a rate.
LEAST_SENT, LEAST_COMPLAINTS = 1_000, 5
# Complaints of so many messages sent: from which on a severity begins, and below which it ends.
PER = 100_000
BEGINS = (("bad", 300), ("warn", 100))
ENDS = (("bad", 250), ("warn", 80))
_SILENT = Group("warn", "server_silent", "servers are silent that usually send at this time", "servers.server")
_COMPLAINED = Group(
    "bad", "complaint_rate", "servers have a complaint rate above 0.1\N{NO-BREAK SPACE}%", "servers.server"
)
GROUPS = (_SILENT, _COMPLAINED)
_NAMES = Beside(Server.objects.all(), "server_id", name="name", organization="organization__name")


def questions(look: Look) -> list[Question]:
    """Return what is asked of the counts of live servers. While counts are late, a server is not silent: it is not counted."""
    hours = HOURS
    in_days = Q(grain=Grain.DAY, bucket__in=days(DAYS))
    moved = Q(incoming__gt=0) | Q(sent__gt=0) | Q(deferred__gt=0) | Q(bounced__gt=0) | Q(held__gt=0) | Q(spam__gt=0)
    rows = ServerCount.objects.filter(in_days | Q(grain=Grain.HOUR, bucket__in=hours.all))
    if look.scope.server_ids is not None:
        rows = rows.filter(server_id__in=sql_lists.sought(look.scope.server_ids))
    live: Any = _live_when_asked(look.scope) if IS_APART else _live(look.scope, MOMENT)
    grouped = (
        rows.filter(server_id__in=live)
        .order_by()
        .values("server_id")
        .annotate(
            usual=Count("bucket", filter=Q(grain=Grain.HOUR, bucket__in=hours.usual) & moved),
            recent=Count("bucket", filter=Q(grain=Grain.HOUR, bucket__in=hours.recent) & moved),
            last_day=Max("bucket", filter=Q(grain=Grain.DAY) & moved),
            all_sent=Sum("sent", filter=Q(grain=Grain.DAY)),
            all_complaints=Sum("complaint", filter=Q(grain=Grain.DAY)),
        )
    )
    late = Batch.objects.filter(folded_at=None, received_at__lt=MOMENT - LONGEST_LAG)
    held = Q(server_id__in=look.pks("server_silent"), last_day__isnull=False)
    silent = Q(recent=0) & (held | Q(usual=len(hours.usual)) & ~Exists(late))
    complained = Q(
        all_sent__gte=LEAST_SENT,
        all_complaints__gte=LEAST_COMPLAINTS,
    ) & Q(all_complaints__gte=F("all_sent") * ENDS[-1][1] / PER)
    facts = ("server_id", "usual", "recent", "last_day", "all_sent", "all_complaints")
    read = {**{name: F(name) for name in facts}, **_NAMES.annotations()}
    return [Question("traffic", grouped.filter(silent | complained), read, using=ALIAS)]


def _live(scope: Scope, at: Any) -> QuerySet[Server, dict[str, int]]:
    """Return the ids of the scope's live servers that are not suspended at a time."""
    live = Server.objects.living().filter(mode=Server.Mode.LIVE, organization__suspended_at=None)
    live = live.exclude(Q(suspended_at__isnull=False) & (Q(suspended_until=None) | Q(suspended_until__gt=at)))
    return among(live.order_by(), "organization_id", scope.organization_ids).values("pk")


def _live_when_asked(scope: Scope) -> RawSQL:
    """Return the same for a question of another database: they are looked up each time that it is asked."""
    given = Given(lambda at: sql_lists.id_list(each["pk"] for each in _live(scope, at)), TextField())
    return sql_lists.ids_in(given)


def items(look: Look, answers: Answers) -> list[Item]:
    """Return the lines, the highest rate first."""
    facts = _NAMES.filled(dict(row.facts) for row in answers["traffic"])
    rows = [Row(len(facts), each) for each in facts if each["name"] is not None]
    usual, held = len(HOURS.usual), set(look.pks("server_silent"))
    silent = [row for row in rows if not row["recent"] and (row["usual"] == usual or row["server_id"] in held)]
    rates = [(row, level) for row in rows if (level := _level(look, row))]
    rates.sort(key=lambda each: (-each[0]["all_complaints"] / each[0]["all_sent"], each[0]["server_id"]))
    levels = {row["server_id"]: level for row, level in rates}
    return [
        *lines(
            _counted([row for row, _ in rates]), named=look.named, group=_COMPLAINED, one=lambda row: _rate(row, levels)
        ),
        *lines(
            _counted(sorted(silent, key=lambda row: str(row["name"]))), named=look.named, group=_SILENT, one=_silent
        ),
    ]


def _counted(rows: list[Row]) -> list[Row]:
    return [Row(len(rows), row.facts) for row in rows]


def _level(look: Look, row: Row) -> str:
    """Return the severity of a complaint rate; "": it is low enough. One that is open ends at a lower rate."""
    sent, complaints = row["all_sent"] or 0, row["all_complaints"] or 0
    if sent < LEAST_SENT or complaints < LEAST_COMPLAINTS:
        return ""
    held = look.held.level("complaint_rate", change_url("servers.server", row["server_id"]))
    # What is bad stays so above its lower bound; so does what is open at all.
    stays = {"bad": ("bad", "warn"), "warn": ("warn",), "": ()}[held]
    for level, share in BEGINS:
        if complaints * PER >= share * sent:
            begun = level
            break
    else:
        begun = ""
    for level, share in ENDS:
        if level in stays and complaints * PER >= share * sent:
            return min(level, begun or level, key=("bad", "warn").index)
    return begun


def _rate(row: Row, levels: dict[int, str]) -> Item:
    percent = 100 * row["all_complaints"] / row["all_sent"]
    return Item(
        levels[row["server_id"]],
        "complaint_rate",
        f"Recipients of server {row['name']} of {row['organization']} complain of {percent:.2f}\N{NO-BREAK SPACE}% of its mail",
        f"{row['all_complaints']:,} complaints of {row['all_sent']:,} messages in {DAYS} days;"
        " large providers ask for less than 0.1\N{NO-BREAK SPACE}%, and refuse mail above 0.3\N{NO-BREAK SPACE}%",
        change_url("servers.server", row["server_id"]),
    )


def _silent(row: Row) -> Item:
    return Item(
        "warn",
        "server_silent",
        f"Server {row['name']} of {row['organization']} has been silent for {habit.SILENT_HOURS} hours",
        f"No message came or went; it had mail at this time of day on each of {habit.DAYS} days before",
        change_url("servers.server", row["server_id"]),
    )
