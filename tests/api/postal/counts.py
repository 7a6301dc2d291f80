"""Filling the counts tables as the fold does: every grain of one event's day."""

import datetime

from ippools.models import IPAddress
from servers.models import Server
from stats.counts import buckets
from stats.counts.buckets import Grain
from stats.models import AddressCount, DomainCount, SenderDomain, ServerCount

DAY = datetime.timedelta(days=1)


def _add(model, at, grains, subject, **counts):
    day = buckets.day_of(at)
    date = buckets.date_of(day)
    numbers = {
        Grain.HOUR: buckets.hour_of(at),
        Grain.DAY: day,
        Grain.MONTH: buckets.month_number(date),
        Grain.YEAR: date.year,
        Grain.TOTAL: 0,
    }
    for grain in grains:
        row, _ = model.objects.get_or_create(grain=grain, bucket=numbers[grain], **subject)
        for kind, number in counts.items():
            setattr(row, kind, getattr(row, kind) + number)
        row.save()


def count_server(server: Server, at: datetime.datetime, **counts: int) -> None:
    """Count messages of a server at a time: `sent=3, bounced=1`."""
    _add(ServerCount, at, (Grain.HOUR, Grain.DAY, Grain.MONTH, Grain.TOTAL), {"server_id": server.pk}, **counts)


def count_domain(server: Server, name: str, at: datetime.datetime, **counts: int) -> None:
    """Count messages of a server's sender domain."""
    domain, _ = SenderDomain.objects.get_or_create(server_id=server.pk, name=name, defaults={"first_seen_day": 0})
    _add(DomainCount, at, (Grain.DAY, Grain.MONTH), {"domain_id": domain.pk}, **counts)


def count_address(ipv4: str, at: datetime.datetime, sent: int) -> None:
    """Count messages that left by an address."""
    address = IPAddress.objects.get(ipv4=ipv4)
    _add(AddressCount, at, (Grain.DAY, Grain.MONTH, Grain.YEAR, Grain.TOTAL), {"address_id": address.pk}, sent=sent)
