"""Ten-second buckets of attempts by address and throttling rule, the input of throttle programs.

They are written as events are stored (stats.ledger.consumers), so that a decision does not wait for the fold, and each event
counts once here, too.
"""

import datetime
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from core import sql_lists
from stats.counts import buckets
from stats.kinds import Kind
from stats.ledger import storage
from stats.ledger.database import CONFIGURATION
from stats.ledger.row import ADDRESS, KEY, KIND, MINUTE, RULE, Row
from stats.models import ThrottleBucket
from throttling.backoff import BUCKET, LATENESS, LONGEST_WINDOW, Bucket

# What may still be decided on, and the window before it.
KEPT = datetime.timedelta(seconds=LATENESS + LONGEST_WINDOW)
_COLUMNS = {Kind.SENT.value: 0, Kind.DEFERRED.value: 1, Kind.BOUNCED.value: 2}
_MILLISECONDS = BUCKET * 1000
_TIME_BYTES = 6


def recent_attempts(rows: Sequence[Row], now: datetime.datetime) -> list[Row]:
    """Return the rows, which are in the order of their times, that belong into buckets that are kept."""
    first = buckets.minute_of(now - KEPT)
    if rows[-1][MINUTE] < first:
        return []
    return [row for row in rows if row[MINUTE] >= first and row[ADDRESS] and row[RULE] >= 0 and row[KIND] in _COLUMNS]


def summed(rows: Sequence[Row]) -> list[list[int]]:
    """Return what attempts add to their buckets (address, rule, bucket, sent, deferred, failed), by bucket."""
    counted: Counter[tuple[int, int, int, int]] = Counter(
        (row[ADDRESS], row[RULE], int.from_bytes(row[KEY][:_TIME_BYTES], "big") // _MILLISECONDS, _COLUMNS[row[KIND]])
        for row in rows
    )
    totals: dict[tuple[int, int, int], list[int]] = defaultdict(lambda: [0, 0, 0])
    for (address, rule, bucket, column), number in counted.items():
        totals[address, rule, bucket][column] += number
    return [[*key, *numbers] for key, numbers in sorted(totals.items())]


def write(values: Sequence[Sequence[int]]) -> None:
    """Add to buckets what `summed` returned. In its order, so that two who do it wait for each other in the same one."""
    for start in range(0, len(values), _ROWS_A_STATEMENT):
        some = values[start : start + _ROWS_A_STATEMENT]
        marks = ", ".join(["(%s, %s, %s, %s, %s, %s)"] * len(some))
        storage.execute(
            f"INSERT INTO stats_throttlebucket (address_id, rule_id, bucket, sent, deferred, failed) VALUES {marks}"
            " ON CONFLICT (address_id, rule_id, bucket) DO UPDATE SET sent = stats_throttlebucket.sent + excluded.sent,"
            " deferred = stats_throttlebucket.deferred + excluded.deferred,"
            " failed = stats_throttlebucket.failed + excluded.failed",
            [each for row in some for each in row],
            using=CONFIGURATION,
        )


# SQLite takes some 30,000 parameters in a statement.
_ROWS_A_STATEMENT = 2_000


def read(address_ids: Iterable[int] | None, since: datetime.datetime) -> dict[tuple[int, int], list[Bucket]]:
    """Return the buckets since a time by address and rule, oldest first; None is all addresses."""
    first = int(since.timestamp()) // BUCKET
    rows = ThrottleBucket.objects.filter(bucket__gte=first)
    if address_ids is not None:
        rows = rows.filter(address_id__in=sql_lists.ids(address_ids))
    found: dict[tuple[int, int], list[Bucket]] = {}
    columns = ("address_id", "rule_id", "bucket", "sent", "deferred", "failed")
    for address, rule, *values in rows.order_by("bucket").values_list(*columns):
        found.setdefault((address, rule), []).append(Bucket(*values))
    return found


def prune(*, now: datetime.datetime) -> None:
    """Delete the buckets that are no longer kept."""
    storage.delete("stats_throttlebucket", f"bucket < {int((now - KEPT).timestamp()) // BUCKET:d}", using=CONFIGURATION)
