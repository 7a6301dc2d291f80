"""Where the ledger is: in the one database, or in one of its own (STATS_DATABASE_URL). Nothing else says so.

What the ledger has is in `LEDGER`; everything else of the statistics (sources, tokens, rules, providers, the buckets of
throttle programs) is configuration, and stays with it. No query reads both: ids are read on one side and given to the other
(`across`).
"""

from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.models import QuerySet

from core import sql_lists

OWN = "stats"
CONFIGURATION = DEFAULT_DB_ALIAS
ALIAS = OWN if OWN in settings.DATABASES else CONFIGURATION
IS_APART = ALIAS != CONFIGURATION
# The models of the ledger, as Django's `label_lower` has them.
LEDGER = frozenset(
    f"stats.{name}"
    for name in (
        "batch", "event", "day", "closedday", "rolluprun", "outboxentry",
        "subject", "senderdomain", "sender", "recipientdomain", "signature",
        "servercount", "addresscount", "domaincount", "sendercount", "providercount", "serverprovidercount", "reasoncount",
        "addressreasoncount", "signaturecount", "throttlecount", "latencycount", "platformcount",
        "platformprovidercount",
    )
)  # fmt: skip


def connection() -> Any:
    """Return this thread's connection to the ledger's database."""
    return connections[ALIAS]


def has_failed() -> bool:
    """Return whether the ledger's own database, and no other, has just failed in this thread."""
    return IS_APART and bool(connection().errors_occurred)


def atomic() -> Any:
    """Return a transaction of the ledger's database."""
    return transaction.atomic(using=ALIAS)


def across(rows: QuerySet[Any, Any]) -> Any:
    """Return the one column of a query of either side for `__in` of the other: the query itself where there is one database.

    `rows` is a `.values("…")`. Apart, it is run now.
    """
    return listed(each for (each,) in rows.values_list(*rows.query.values_select)) if IS_APART else rows


def listed(ids: Iterable[int]) -> Any:
    """Return ids for `__in`."""
    return sql_lists.ids(ids)
