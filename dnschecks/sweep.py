"""Checks many rows against DNS, with bounded concurrency and one checker per row.

A row is claimed in one transaction and written back in another, while the claim still holds: so two workers, or a worker and a
person who asks for a check now, never check one row at once. A worker that dies leaves a claim that runs out. Threads talk to
DNS only: the database is the calling thread's.
"""

import datetime
import random
import time
import uuid
from collections.abc import Hashable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, Protocol

import structlog
from django.db import OperationalError, transaction
from django.db.models.expressions import Combinable
from django.utils import timezone

from core.errors import Conflict, NotFound
from dnschecks import schedule
from dnschecks.checked import DNSChecked, DNSCheckedQuerySet
from dnschecks.findings import Findings, columns
from dnschecks.resolver import CHECK_TIMEOUT, Resolver
from dnschecks.round_robin import RoundRobin
from dnschecks.slots import TooManyChecks, slot

# Longer than any check may take, with what waits before it in the queue.
LEASE = datetime.timedelta(minutes=10)
# How long "check now" waits for a check of the same row that is under way.
POLL = 0.1
RELEASED: Mapping[str, Any] = {"dns_claim": None, "dns_claimed_until": None}
log = structlog.get_logger(__name__)

# The row's id, the claim under which it was checked, and what came of it.
Result = tuple[int, uuid.UUID, Future[Findings]]
# Results are gathered for so many seconds and written in one transaction.
WRITE_EVERY = 0.2
# Rows claimed at once for each thread: enough to keep it busy, few enough to lose little if the worker stops.
CLAIMED_PER_THREAD = 2


class CheckInProgress(Conflict):
    """Another check of this row did not end in time."""

    default_message = "A check is already running; try again in a moment"


class Checkable[Row: DNSChecked, Plan](Protocol):
    """A kind of row with DNS checks: how to find, examine and write rows."""

    def rows(self) -> DNSCheckedQuerySet[Row]:
        """Return all rows with checks."""
        ...

    def owner(self) -> Combinable:
        """Return the expression of a row's owner: owners take turns."""
        ...

    def plans(self, ids: Sequence[int]) -> Mapping[int, Plan]:
        """Return the input of these rows' checks, in a constant number of queries; deleted rows are omitted."""
        ...

    def examine(self, plan: Plan, resolver: Resolver) -> Findings:
        """Query DNS. Runs in a separate thread, without the database."""
        ...

    def write(self, row: Row, findings: Findings, at: datetime.datetime) -> dict[str, Any]:
        """Return further columns to write, having done what else follows from the findings; in the writing transaction."""
        ...


@dataclass(frozen=True, slots=True)
class Swept:
    """How many rows a sweep checked, and how many of those checks the resolver failed."""

    checked: int
    failed: int


def sweep[Row: DNSChecked, Plan](
    kind: Checkable[Row, Plan], *, parallel: int, seconds: float, limit: int | None = None
) -> Swept:
    """Check the due rows, at most `parallel` at a time, until none is due, `limit` are checked, or the seconds are over."""
    ends = time.monotonic() + seconds
    capacity = parallel * CLAIMED_PER_THREAD
    left = limit
    turns = RoundRobin(kind.rows, kind.owner())
    kind.rows().put_off_by_a_clock(timezone.now()).update(dns_next_check_at=None)
    checked = failed = 0
    running: dict[Future[Findings], tuple[int, uuid.UUID]] = {}
    results: list[Result] = []
    with ThreadPoolExecutor(parallel, thread_name_prefix="dns") as threads:
        while True:
            # A refill costs the same few queries whatever its size, so it waits until half of the queue is done.
            if left != 0 and len(running) <= capacity // 2 and time.monotonic() < ends:
                room = capacity - len(running)
                claim = uuid.uuid4()
                ids = _claim_in_turn(kind, turns, claim=claim, limit=room if left is None else min(room, left))
                plans = kind.plans(ids)
                running |= {threads.submit(_examined, kind, plans[pk]): (pk, claim) for pk in ids if pk in plans}
                left = left if left is None else left - len(plans)
            # What is done is written while the threads are at the next.
            failed += _write_each(kind, results)
            checked += len(results)
            if not running:
                return Swept(checked, failed)
            done, _ = wait(running, timeout=WRITE_EVERY)
            results = [(*running.pop(each), each) for each in done]


def check_now[Row: DNSChecked, Plan](
    kind: Checkable[Row, Plan], pk: int, *, asked_by: Hashable, seconds: float = CHECK_TIMEOUT
) -> None:
    """Check one row at once, due or not, within the time limit; what was not learned by then is a failure of the resolver.

    A check of the row that is under way is waited for first, as long; then CheckInProgress. NotFound where the row is gone.
    Where `asked_by` (an organization) may not wait for DNS now, TooManyChecks: then the next sweep checks the row.
    """
    try:
        with slot(asked_by):
            _check(kind, pk, seconds=seconds)
    except TooManyChecks:
        at = timezone.now()
        # Its failures and its streak are kept, because nothing has changed.
        kind.rows().unclaimed(at).filter(pk=pk, dns_next_check_at__gt=at).update(dns_next_check_at=at)
        raise TooManyChecks(
            "Too many DNS checks are running. This one runs automatically within two minutes; try again then"
        ) from None


def _check[Row: DNSChecked, Plan](kind: Checkable[Row, Plan], pk: int, *, seconds: float) -> None:
    claim = uuid.uuid4()
    gives_up = time.monotonic() + seconds
    while not _claim(kind.rows().filter(pk=pk), claim, timezone.now()):
        if not kind.rows().filter(pk=pk).exists():
            raise NotFound
        if time.monotonic() >= gives_up:
            raise CheckInProgress
        time.sleep(POLL)
    for plan in kind.plans([pk]).values():
        outcome: Future[Findings] = Future()
        outcome.set_result(_examined(kind, plan, seconds=seconds))
        _write_all(kind, [(pk, claim, outcome)])


def _claim_in_turn[Row: DNSChecked, Plan](
    kind: Checkable[Row, Plan], turns: RoundRobin, *, claim: uuid.UUID, limit: int
) -> list[int]:
    """Claim the next rows in turn and return their ids in order; none if all due rows are claimed."""
    ids = turns.take(limit)
    while ids:
        claimed = set(claim_due(kind.rows().filter(pk__in=ids), claim=claim, limit=limit))
        if claimed:
            return [pk for pk in ids if pk in claimed]
        ids = turns.take_known(limit)
    return []


def claim_due(rows: DNSCheckedQuerySet[Any], *, claim: uuid.UUID, limit: int) -> list[int]:
    """Claim due rows and return their ids, the longest overdue first. The claims are exclusive until they expire."""
    at = timezone.now()
    with transaction.atomic():
        # Skipping what another worker is just claiming, two workers get different rows instead of one of them none. On SQLite
        # the transaction has the database to itself.
        due = rows.due(at).select_for_update(of=("self",), no_key=True, skip_locked=True)
        ids = list(due.values_list("pk", flat=True)[:limit])
        if ids:
            _claim(rows.model._default_manager.filter(pk__in=ids), claim, at)
    return ids


@transaction.atomic(savepoint=False)
def make_due(rows: DNSCheckedQuerySet[Any]) -> int:
    """Make these rows due for the next sweep, because their expected values have changed.

    Statuses stay until then. A check that is under way began before the change, so it does not count as the next. Rows
    without a planned check stay so.
    """
    # An act that changes a thousand things in a row (a file of addresses) writes each row once.
    rows = rows.scheduled(timezone.now())
    # Many rows are locked in the order of ids, as writers do: else two could wait for each other in a circle.
    list(rows.select_for_update(of=("self",), no_key=True).order_by("pk").values_list("pk", flat=True))
    return rows.update(dns_next_check_at=None, dns_streak=0, dns_failures=0)


def _claim(rows: DNSCheckedQuerySet[Any], claim: uuid.UUID, at: datetime.datetime) -> int:
    # The time of the next check is set too: a null that the writer finds was put there meanwhile, by make_due.
    until = at + LEASE
    return rows.unclaimed(at).update(dns_claim=claim, dns_claimed_until=until, dns_next_check_at=until)


def _examined[Row: DNSChecked, Plan](
    kind: Checkable[Row, Plan], plan: Plan, *, seconds: float = CHECK_TIMEOUT
) -> Findings:
    return kind.examine(plan, Resolver(time_limit=seconds))


def _write_each[Row: DNSChecked, Plan](kind: Checkable[Row, Plan], results: Sequence[Result]) -> int:
    """Write the results of these checks, together, or one by one if one of them crashed or cannot be written.

    Return how many the resolver failed.
    """
    try:
        return _write_all(kind, results)
    except OperationalError:
        # The database is away or busy: the claims run out.
        raise
    except Exception as error:
        if len(results) > 1:
            return sum(_write_each(kind, [each]) for each in results)
        [(pk, claim, _)] = results
        _give_up(kind.rows().filter(pk=pk, dns_claim=claim), error)
        return 0


def _give_up[Row: DNSChecked](rows: DNSCheckedQuerySet[Row], error: BaseException) -> None:
    """Release a row whose check crashed, and back off for two hours, so that it does not block others."""
    log.error("dns_check_crashed", row=rows.model.__name__, pk=list(rows.values_list("pk", flat=True)), exc_info=error)
    rows.update(**RELEASED, dns_next_check_at=timezone.now() + schedule.FAILED_LONGEST)


def _write_all[Row: DNSChecked, Plan](kind: Checkable[Row, Plan], results: Sequence[Result]) -> int:
    """Write the results of these checks; return the number of resolver failures. Raises exceptions of checks."""
    if not results:
        return 0
    at = timezone.now()
    failed = 0
    with transaction.atomic():
        # The order of ids keeps two writers from waiting for each other in a circle.
        locked = kind.rows().select_for_update(of=("self",), no_key=True).order_by("pk")
        rows = {row.pk: row for row in locked.filter(pk__in=[pk for pk, *_ in results])}
        for pk, claim, outcome in results:
            # A claim that ran out may be another's by now: then its findings are the newer ones.
            row = rows.get(pk)
            if row is None or row.dns_claim != claim:
                continue
            findings = outcome.result()
            failed += any(each.is_failure for each in findings.values())
            written = _columns(row, findings, at) | kind.write(row, findings, at)
            if row.dns_next_check_at is None:
                # What it was checked against has changed meanwhile.
                written |= {"dns_next_check_at": None, "dns_streak": 0}
            type(row)._default_manager.filter(pk=pk).update(**written)
    return failed


def _columns(row: DNSChecked, findings: Findings, at: datetime.datetime) -> dict[str, Any]:
    written = columns(findings, stored=row.dns_answers, at=at)
    is_same = all(getattr(row, column) == value for column, value in written.items() if column.endswith("_status"))
    has_failed = any(each.is_failure for each in findings.values())
    streak = row.dns_streak + 1 if is_same and row.dns_checked_at is not None else 1
    failures = row.dns_failures + 1 if has_failed else 0
    # Not a secret: the dice only spread the load.
    dice = random.Random()  # noqa: S311
    wait_for = schedule.delay(findings.values(), age=at - row.created_at, streak=streak, failures=failures, dice=dice)
    return written | {
        **RELEASED,
        "dns_checked_at": at,
        "dns_next_check_at": at + wait_for,
        "dns_streak": streak,
        "dns_failures": failures,
    }
