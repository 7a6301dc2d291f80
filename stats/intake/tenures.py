"""Resolves `organization/server` to the holder of the name at the event's time (servers/permalinks.py).

Nearly all names have had one holder, who then is meant at any time: logs from before the panel can be imported. A deleted
server is not meant by name; of one that was made again under its name, the time begins when it was made.
"""

import datetime
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db.models import Exists, Max, Min, OuterRef, QuerySet, Subquery

from core import sql_lists
from servers.models import FormerPermalink, Server
from stats.intake.timestamps import milliseconds_of

# In milliseconds since 1970.
ALWAYS, FOREVER = -(2**63), 2**63

type Name = tuple[str, str]


class Tenure(NamedTuple):
    """A time in which a name means a server: from `begin`, before `end`, and not from `away` to `back`."""

    begin: int
    end: int
    away: int
    back: int
    server: int

    @property
    def is_whole(self) -> bool:
        return self[:4] == _WHOLE


_WHOLE = (ALWAYS, FOREVER, FOREVER, FOREVER)


@dataclass(frozen=True, slots=True)
class Holders[Entry]:
    """Whom a name means that has had several holders, or has one whose time has a beginning or an end."""

    tenures: tuple[tuple[Tenure, Entry], ...]

    def at(self, milliseconds: int) -> Entry | None:
        """Return who had the name at this time; None: nobody, or one that is not to be found by name."""
        for (begin, end, away, back, _), entry in self.tenures:
            if begin <= milliseconds < end and not away <= milliseconds < back:
                return entry
        return None


class Row(NamedTuple):
    """A server that a name means, or meant."""

    id: int
    uuid: Any
    # As they are now.
    organization: str
    permalink: str


def find(names: Collection[Name], *, only: Server | None = None) -> tuple[dict[Name, list[Tenure]], dict[int, Row]]:
    """Return when each name (two permalinks) means which living server, and those servers by id.

    `only`: a server that may name itself alone. No other is looked up, so that the work does not tell whether there is one.
    One query where all names have had one holder; at most three.
    """
    rows: dict[int, Row] = {}
    tenures: defaultdict[Name, list[Tenure]] = defaultdict(list)
    servers = _with_history(
        Server.objects.living().filter(permalink__in=sql_lists.texts({server for _, server in names}))
    )
    former = FormerPermalink.objects.all()
    if only is not None:
        servers, former = servers.filter(pk=only.pk), former.filter(organization_id=only.organization_id)
    unsure = {organization for organization, _ in names}
    current = servers.filter(organization__permalink__in=sql_lists.texts(unsure))
    for each in current.values_list(*_COLUMNS):
        row, since, _, server = _read(each)
        rows[row.id] = row
        begin = ALWAYS if since is None else milliseconds_of(since)
        tenures[row.organization, row.permalink].append(_within(server, begin, FOREVER))
        if since is None:
            # The first to have it.
            unsure.discard(row.organization)
    if unsure:
        _find_former(servers, former.filter(permalink__in=sql_lists.texts(unsure)), rows, tenures)
    return tenures, rows


def _find_former(
    servers: QuerySet[Server],
    former: QuerySet[FormerPermalink],
    rows: dict[int, Row],
    tenures: dict[Name, list[Tenure]],
) -> None:
    had: defaultdict[int, list[tuple[str, int, int]]] = defaultdict(list)
    for organization_id, permalink, since, until in former.values_list(
        "organization_id", "permalink", "since", "held_until"
    ):
        had[organization_id].append(
            (permalink, ALWAYS if since is None else milliseconds_of(since), milliseconds_of(until))
        )
    if not had:
        return
    for each in servers.filter(organization_id__in=sql_lists.ids(had)).values_list(*_COLUMNS):
        row, _, organization_id, server = _read(each)
        rows[row.id] = row
        for permalink, begin, end in had[organization_id]:
            tenures[permalink, row.permalink].append(_within(server, begin, end))


_COLUMNS = (
    "pk",
    "uuid",
    "organization__permalink",
    "permalink",
    "organization__permalink_since",
    "organization_id",
    "created_at",
    "is_again",
    "others_from",
    "others_until",
)


def _with_history(servers: QuerySet[Server]) -> QuerySet[Server]:
    """Add whether another server had the permalink before, and from when until when others had it since.

    Those others are deleted: meanwhile it was deleted itself, and then restored.
    """
    others = Server.objects.filter(
        organization_id=OuterRef("organization_id"), permalink=OuterRef("permalink"), deleted_at__isnull=False
    ).order_by()
    later = others.filter(created_at__gt=OuterRef("created_at")).values("permalink")
    return servers.annotate(
        is_again=Exists(others.filter(created_at__lte=OuterRef("created_at"))),
        others_from=Subquery(later.annotate(found=Min("created_at")).values("found")),
        others_until=Subquery(later.annotate(found=Max("deleted_at")).values("found")),
    )


def _read(columns: Iterable[Any]) -> tuple[Row, datetime.datetime | None, int, Tenure]:
    """Return a server, since when its organization has its permalink, that one's id, and when the server had its own."""
    pk, uuid, organization, permalink, since, organization_id, made, is_again, away, back = columns
    server = Tenure(
        milliseconds_of(made) if is_again else ALWAYS,
        FOREVER,
        milliseconds_of(away) if away else FOREVER,
        milliseconds_of(back) if away else FOREVER,
        pk,
    )
    return Row(pk, uuid, organization, permalink), since, organization_id, server


def _within(server: Tenure, begin: int, end: int) -> Tenure:
    """Return the time in which the server had its permalink while its organization had its own."""
    return server._replace(begin=max(server.begin, begin), end=min(server.end, end))
