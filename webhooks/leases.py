"""Leases: what one worker at a time does, and takes over from one that was killed."""

import datetime
from collections.abc import Iterable

from django.db import IntegrityError, transaction
from django.db.models import Q

from webhooks.models import Lease

LENGTH = datetime.timedelta(seconds=30)


def take(name: str, holder: str, *, at: datetime.datetime) -> bool:
    """Take the lease if nobody holds it, or its time is over; return whether it is this holder's now.

    One that lasts longer than any can was taken by a clock that was ahead; clocks of workers agree within its length.
    """
    until = at + LENGTH
    is_over = Q(until__lte=at) | Q(until__gt=at + 2 * LENGTH)
    if Lease.objects.filter(is_over, name=name).update(holder=holder, until=until):
        return True
    if Lease.objects.filter(name=name).exists():
        return False
    try:
        with transaction.atomic():
            Lease.objects.create(name=name, holder=holder, until=until)
    except IntegrityError:
        return False
    return True


def renew(names: Iterable[str], holder: str, *, at: datetime.datetime) -> None:
    """Keep leases that this holder still has for longer."""
    Lease.objects.filter(name__in=list(names), holder=holder).update(until=at + LENGTH)


def give_back(names: Iterable[str], holder: str) -> None:
    """Let others take leases of this holder's."""
    Lease.objects.filter(name__in=list(names), holder=holder).delete()
