"""Assigns numbers to texts in events, with a limit of new texts per day and in total."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from django.db.models import BooleanField, Count
from django.db.models.expressions import RawSQL

from core import sql_lists
from core.locks import advisory
from stats.ledger import storage
from stats.ledger.database import ALIAS, atomic
from stats.models import RecipientDomain, Sender, SenderDomain, Signature
from stats.models.names import OTHER, NameOfServer

# A server's id (0: the whole platform), and a text.
type Name = tuple[int, str]


class Allowance(NamedTuple):
    """The limits of new names per server and day, and in total (None: unlimited)."""

    a_day: int
    in_all: int | None = None


# A sender who makes up mailboxes must not fill the platform's tables.
ALLOWANCES: dict[type[NameOfServer], Allowance] = {
    Sender: Allowance(10_000),
    SenderDomain: Allowance(10_000),
    RecipientDomain: Allowance(50_000, 2_000_000),
    Signature: Allowance(2_000, 50_000),
}


def number(
    model: type[NameOfServer],
    names: Iterable[Name],
    known: dict[Name, int],
    *,
    today: int,
    new: Callable[[Name], dict[str, Any]] = lambda name: {},
) -> None:
    """Add the numbers of these names to the known ones; names beyond a server's limit get the number of OTHER.

    `new` gives what else a new row says.
    """
    # Not a difference of sets: that would go through all that is known, for each batch.
    missing = _find(model, {name for name in names if name not in known}, known)
    if not missing:
        return
    # A separate transaction: concurrent ingesters of the same new names wait for this, not for a batch.
    with atomic():
        advisory("stats.names", using=ALIAS)
        missing = _find(model, missing, known)
        allowed = _allowed(model, missing, today)
        make: Any = model
        rows = (
            make(server_id=server, name=name, first_seen_day=today, **({} if name == OTHER else new((server, name))))
            for server, name in sorted(allowed)
        )
        manager: Any = model._default_manager
        manager.bulk_create(rows, ignore_conflicts=True)
    # After the commit: what is known may be kept for other requests.
    _find(model, allowed, known)
    for server, name in missing - allowed:
        known[server, name] = known[server, OTHER]


def _allowed(model: type[NameOfServer], missing: set[Name], today: int) -> set[Name]:
    """Return the missing names within their server's limit, and OTHER for servers beyond it."""
    allowance = ALLOWANCES[model]
    rows: Any = model._default_manager
    servers = {server for server, _ in missing}
    # All but OTHER, word for word as the index says it: SQLite compares the words.
    is_name: Any = RawSQL("NOT (name = '*')", [], output_field=BooleanField())
    new = rows.filter(is_name, server_id__in=sql_lists.ids(servers), first_seen_day=today)
    used = dict(new.values("server_id").annotate(n=Count("id")).values_list("server_id", "n"))
    left = None if allowance.in_all is None else allowance.in_all - rows.count()
    allowed = set()
    for server, name in sorted(missing):
        used[server] = used.get(server, 0) + 1
        has_room = used[server] <= allowance.a_day and (left is None or left > 0)
        if left is not None:
            left -= has_room
        allowed.add((server, name) if has_room else (server, OTHER))
    return allowed


def _find(model: type[NameOfServer], names: set[Name], known: dict[Name, int]) -> set[Name]:
    """Add the numbers of the names to the known ones, and return the names that have none."""
    if not names:
        return set()
    wanted = list(names)
    missing = set()
    for name, found in zip(wanted, storage.find_names(model._meta.db_table, wanted), strict=True):
        if found is None:
            missing.add(name)
        else:
            known[name] = found
    return missing
