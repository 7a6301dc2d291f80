"""Suspended servers, those that have reached a send limit, or nearly, and client networks of several organizations."""

from collections.abc import Sequence

from django.db.models import Case, Exists, F, OuterRef, Q, Subquery, When
from django.db.models.functions import JSONObject

from alerts.asking import Answers, Question, Row
from alerts.items import Group, Item, lines
from alerts.links import change_url
from alerts.scope import among
from alerts.topics.look import MOMENT, Look
from servers import send_limits
from servers.models import Credential, SendLimitMark, Server
from servers.send_limits import FIELDS, Level, Usage
from stats import send_limits as counted

_SUSPENDED = Group("warn", "server_suspended", "servers are suspended", "servers.server")
_LIMITED = Group("warn", "send_limit", "servers have reached a send limit, or nearly", "servers.server")
_CONTESTED = Group(
    "bad", "network_contested", "SMTP-IP networks overlap those of other organizations", "servers.credential"
)
GROUPS = (_SUSPENDED, _LIMITED, _CONTESTED)


def questions(look: Look) -> list[Question]:
    """Return what is asked: the suspended, and of the others those with a mark of a send limit, with the most telling one."""
    suspended = Q(suspended_at__isnull=False) & (Q(suspended_until=None) | Q(suspended_until__gt=MOMENT))
    living = among(Server.objects.living(), "organization_id", look.scope.organization_ids)
    marks = SendLimitMark.objects.active(MOMENT).filter(server=OuterRef("pk"))
    # The last of the reached ones, else the last of the others.
    worst = Case(When(level=Level.EXCEEDED, then=0), default=1)
    columns = ("period", "level", "limit", "sent", "until")
    telling = marks.order_by(worst, "-until").values(mark=JSONObject(**{name: F(name) for name in columns}))
    whose = {"pk": F("pk"), "name": F("name"), "organization": F("organization__name")}
    return [
        Question(
            "server_suspended",
            living.filter(suspended),
            whose | {"reason": F("suspension_reason"), "until": F("suspended_until")},
            look.named,
        ),
        Question(
            "send_limit",
            living.filter(Exists(marks)).exclude(suspended),
            whose | {name: F(name) for name in FIELDS.values()} | {"mark": Subquery(telling[:1])},
            look.named,
        ),
        Question(
            "network_contested",
            among(Credential.objects.filter(is_contested=True), "server__organization_id", look.scope.organization_ids),
            {"pk": F("pk"), "network": F("network"), "server": F("server__name")}
            | {"organization": F("server__organization__name")},
            look.named,
        ),
    ]


def items(look: Look, answers: Answers) -> list[Item]:
    """Return the lines; one query of counts where a few servers are near to a send limit."""
    limited = answers["send_limit"]
    used: dict[int, list[Usage]] = {}
    if limited and limited[0].of_all <= look.named:
        used = counted.usage([_server(row) for row in limited], look.at)
    return [
        *lines(answers["network_contested"], named=look.named, group=_CONTESTED, one=_contested),
        *lines(answers["server_suspended"], named=look.named, group=_SUSPENDED, one=_suspended),
        *lines(limited, named=look.named, group=_LIMITED, one=lambda row: _limited(row, used.get(row["pk"], []))),
    ]


def _contested(row: Row) -> Item:
    text = f"No mail is taken from {row['network']} for server {row['server']} of {row['organization']}"
    why = "Another organization has some of its addresses as SMTP-IP clients, too: the platform decides"
    return Item("bad", "network_contested", text, why, change_url("servers.credential", row["pk"]))


def words(level: Level | None, usage: Usage) -> str:
    """Return in a few words how a limit stands: "reached: mail deferred until 14:00 UTC", "at 92 %"."""
    if level == Level.EXCEEDED:
        return f"reached: mail deferred until {send_limits.clock(usage.until)}"
    return f"at {usage.percent}\N{NO-BREAK SPACE}%"


def _server(row: Row) -> Server:
    return Server(pk=row["pk"], **{field: row[field] for field in FIELDS.values()})


def _limited(row: Row, used: Sequence[Usage]) -> Item:
    mark = Row(1, row.parts("mark"))
    until = mark.moment("until")
    assert until is not None
    usage = next((each for each in used if each.period == mark["period"]), None)
    usage = usage or Usage(mark["period"], mark["limit"], mark["sent"], until)
    level = Level(mark["level"])
    return Item(
        "bad" if level == Level.EXCEEDED else "warn",
        "send_limit",
        f"Server {row['name']} of {row['organization']}: send limit {words(level, usage)}",
        f"{usage.sent:,} of {usage.limit:,} messages {SendLimitMark.Period(mark['period']).label} sent",
        change_url("servers.server", row["pk"]),
    )


def _suspended(row: Row) -> Item:
    until = row.moment("until")
    why = "; ".join(filter(None, (row["reason"].rstrip("."), f"until {until:%-d %B}" if until else "")))
    text = f"Server {row['name']} of {row['organization']} is suspended"
    return Item("warn", "server_suspended", text, why, change_url("servers.server", row["pk"]))
