"""The periods in which servers had domains verified.

What acts and checks write here belongs into the transaction in which they change `Domain.verified_at`, with the domain or its
server locked.
"""

import datetime

from django.db.models import QuerySet

from servers.models import Domain, DomainVerification, Server

# Of one name of one server: ingestion reads all of them for events from the name.
MOST_PERIODS = 100
_MOMENT = datetime.timedelta(microseconds=1)


def of_domain(domain: Domain) -> QuerySet[DomainVerification]:
    """Return the periods of the domain's server and name, those of former domains too."""
    return DomainVerification.objects.filter(server_id=domain.server_id, name=domain.name)


def begin(domain: Domain, *, at: datetime.datetime) -> None:
    """Begin a period, unless one is open."""
    periods = of_domain(domain)
    newest = periods.order_by("-since").first()
    if newest is not None and newest.until is None:
        return
    # The clocks of two machines differ.
    since = at if newest is None or newest.until is None else max(at, newest.until)
    DomainVerification.objects.create(server_id=domain.server_id, name=domain.name, since=since)
    _forget(periods)


def end(domain: Domain, *, at: datetime.datetime) -> None:
    """End the open period, if there is one."""
    period = of_domain(domain).filter(until=None).first()
    if period is not None:
        period.until = max(at, period.since + _MOMENT)
        period.save(update_fields=["until"])


def resume(server: Server, *, deleted_at: datetime.datetime, at: datetime.datetime) -> None:
    """End the periods of a server that is restored when it was deleted, and begin others now."""
    still_open = DomainVerification.objects.filter(server=server, until=None)
    still_open.filter(since__lt=deleted_at).update(until=deleted_at)
    # Of a check that was under way when the server was deleted.
    still_open.delete()
    names = Domain.objects.filter(server=server).verified().values_list("name", flat=True)
    DomainVerification.objects.bulk_create(
        DomainVerification(server=server, name=name, since=max(at, deleted_at)) for name in names
    )


def _forget(periods: QuerySet[DomainVerification]) -> None:
    """Delete the oldest periods beyond the limit, except the first, which tells who had the name before others."""
    beyond = list(periods.order_by("-since").values_list("pk", flat=True)[MOST_PERIODS - 1 :])
    if len(beyond) > 1:
        periods.filter(pk__in=beyond[:-1]).delete()
