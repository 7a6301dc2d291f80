"""The replies that addresses got, by their signature.

Days are numbers since 1970, first and last included; `None` for ids means all of them. Read from the counts alone.
"""

from collections.abc import Iterable
from typing import NamedTuple, Self

from core import sql_lists
from stats.counts.buckets import Grain
from stats.models import Signature, SignatureCount
from stats.reports.reader import Counts, rows_of, sums_of

MOST_SIGNATURES = 100
OTHER_SIGNATURES = "other"


class Replies(NamedTuple):
    """The number of replies that deferred messages, rejected them, or bounced them after `sent`."""

    deferred: int = 0
    bounced: int = 0
    late_bounce: int = 0

    @classmethod
    def of(cls, counts: Counts) -> Self:
        """Return what counts say of replies."""
        return cls(counts.deferred, counts.bounced, counts.late_bounce)


class SignatureTotal(NamedTuple):
    """A kind of reply: its id, a masked sample of it, and how many there were."""

    id: int
    text: str
    replies: Replies


def by_signature(
    address_ids: Iterable[int] | None, first_day: int, last_day: int, *, limit: int = MOST_SIGNATURES
) -> list[SignatureTotal]:
    """Return the kinds of replies to some addresses, most frequent first; address 0 has those of no known address."""
    rows = rows_of(SignatureCount, Grain.DAY, range(first_day, last_day + 1), address_id=address_ids)
    found = {key[0]: Replies.of(counts) for key, counts in sums_of(rows, "signature_id").items()}
    ranked = sorted(found.items(), key=lambda item: (-sum(item[1]), item[0]))[:limit]
    texts = {row.pk: str(row) for row in Signature.objects.filter(pk__in=sql_lists.ids(key for key, _ in ranked))}
    return [SignatureTotal(key, texts.get(key, OTHER_SIGNATURES), replies) for key, replies in ranked]
