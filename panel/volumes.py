"""Columns of messages sent: today, in 7 days, this month; of lists that can be ordered by them."""

import datetime
import functools
from collections.abc import Callable, Mapping
from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from unfold.decorators import display

from core.sql_lists import ids as listed
from ippools.models import IPPoolMember
from panel import without_counts
from servers.models import Domain, Server
from stats.reports import volumes
from stats.reports.volumes import NOTHING, Volume

COLUMNS = ("sent_today", "sent_this_week", "sent_this_month")
_PERIODS = {"sent_today": "today", "sent_this_week": "week", "sent_this_month": "month"}


def of_pools(ids: list[int], now: datetime.datetime) -> dict[int, Volume]:
    """Return what the addresses sent that are in each pool now."""
    pairs = list(IPPoolMember.objects.filter(pool__in=listed(ids)).values_list("pool_id", "ip_address_id"))
    return volumes.summed(pairs, volumes.by_address({address for _, address in pairs}, now))


def of_organizations(ids: list[int], now: datetime.datetime) -> dict[int, Volume]:
    """Return what each organization's servers sent, with deleted ones."""
    pairs = list(Server.objects.filter(organization__in=listed(ids)).values_list("organization_id", "pk"))
    return volumes.summed(pairs, volumes.by_server([server for _, server in pairs], now))


def of_domains(ids: list[int], now: datetime.datetime) -> dict[int, Volume]:
    """Return what was sent from each domain by its server."""
    rows = Domain.objects.filter(pk__in=listed(ids)).values_list("pk", "server_id", "name")
    return volumes.by_domain({pk: (server, name) for pk, server, name in rows}, now)


def _rank(period: str, page: Any, request: HttpRequest, ids: list[int]) -> Mapping[int, int]:
    found = page.volumes_of(ids, timezone.now())
    return {pk: getattr(found.get(pk, NOTHING), period) for pk in ids}


RANKINGS = {column: functools.partial(_rank, period) for column, period in _PERIODS.items()}


class VolumeColumns:
    """Mixin of a page: the three columns. `decorate_rows` of the page calls `add_volumes`."""

    volumes_of: Callable[[list[int], datetime.datetime], Mapping[int, Volume]]

    def add_volumes(self, request: HttpRequest, records: list[Any], now: datetime.datetime) -> None:
        """Add its volume to each row; None where the counts' own database is away, which is said above the list."""
        ids = [record.pk for record in records]
        found = without_counts.read(request, lambda: self.volumes_of(ids, now))
        for record in records:
            record.volume = None if found is None else found.get(record.pk, NOTHING)

    @display(description="Sent today", ordering="sent_today")
    def sent_today(self, record: Any) -> int | None:
        return record.volume and record.volume.today

    @display(description="Sent in 7 days", ordering="sent_this_week")
    def sent_this_week(self, record: Any) -> int | None:
        return record.volume and record.volume.week

    @display(description="Sent this month", ordering="sent_this_month")
    def sent_this_month(self, record: Any) -> int | None:
        return record.volume and record.volume.month
