"""Deletes entries that were removed or have expired some weeks ago, and counts of bounces that came to nothing."""

import datetime

from django.db import transaction
from django.db.models import Max, Q

from suppressions import lists
from suppressions.models import BounceCount, Suppression, SuppressionList
from suppressions.rules import COUNTED_FOR

# How long nodes that were away get the difference, and events from before a removal are recognized.
KEPT = datetime.timedelta(days=30)
_ROWS_A_TRANSACTION = 5_000


def delete_old(*, at: datetime.datetime) -> int:
    """Delete what is past its keeping, some rows a transaction, and return the number of entries."""
    BounceCount.objects.filter(bounced_at__lte=at - COUNTED_FOR).delete()
    is_old = Q(removed_at__lte=at - KEPT) | Q(expires_at__lte=at - KEPT)
    total = 0
    for pk in Suppression.objects.filter(is_old).order_by().values_list("organization", flat=True).distinct():
        while forgotten := _forget_some(pk, is_old):
            total += forgotten
    return total


@transaction.atomic
def _forget_some(organization: int, is_old: Q) -> int:
    of = lists.held([organization])[organization]
    rows = Suppression.objects.filter(is_old, organization=organization)
    some = list(rows.order_by("pk").values_list("pk", flat=True)[:_ROWS_A_TRANSACTION])
    found = Suppression.objects.filter(pk__in=some)
    # A node drops what has expired by itself, and must hear of what was removed.
    removed = found.filter(removed_at__isnull=False).aggregate(last=Max("number"))["last"]
    forgotten = max(of.forgotten, removed or 0)
    found.delete()
    SuppressionList.objects.filter(pk=organization).update(size=of.size - len(some), forgotten=forgotten)
    return len(some)
