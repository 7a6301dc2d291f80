"""The worker's run: it takes what is due, calls receivers side by side, and writes down what came of it.

One thread speaks to the database; the others call receivers, each several times in a row over one connection where it answers
fast. How many calls one webhook may have under way begins at one, grows with each that succeeds and falls back with one that
fails. Webhooks that failed last have a quarter of the threads, and
those that have never answered another: receivers that let every call time out hold up nobody else. Organizations take turns, so
that one with thousands of receivers that answer slowly does not either.
"""

import datetime
import queue
import random
import secrets
import time
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db.models import Exists, OuterRef, Q, QuerySet

from servers.models import Webhook
from servers.webhook_urls import BadURL, parse
from webhooks import circuits, claiming, leases
from webhooks.calling import TIMEOUT, Outcome
from webhooks.claiming import Claimed
from webhooks.models import Delivery
from webhooks.resolving import Addresses
from webhooks.rows import Line, Made, Share, make
from webhooks.signing import Signer, signer
from webhooks.turns import MOST, Turns, with_a_place

# Deliveries of one webhook that a run holds in memory. All of them, one after the other, must be over before they are lost.
_HELD = 50
# Results that are written at once.
_WRITTEN_AT_ONCE = 200
# A webhook that answered so lately is taken for one that answers, until it fails; it is written down this often.
_TRUSTED_FOR = datetime.timedelta(days=1)
_NOTED_EVERY = datetime.timedelta(hours=1)
# Seconds between looks for webhooks that have become due, and between renewals of leases.
_LOOK_EVERY = 0.5
_RENEW_EVERY = 10.0
_IDLE = 0.05

type Clock = Callable[[], datetime.datetime]


@dataclass(slots=True)
class Sent:
    """What a run did."""

    delivered: int = 0
    failed: int = 0
    # Whether the time was over before the work was.
    has_more: bool = False


def run(*, clock: Clock, seconds: float, chance: random.Random | None = None) -> Sent:
    """Make due deliveries until none is left or the seconds are over; calls under way are waited for.

    Returns at once where as many workers as there may be are at it.
    """
    holder = secrets.token_hex(8)
    places = [f"worker:{number}" for number in range(settings.SLUICE_WEBHOOK_WORKERS)]
    place = next((name for name in places if leases.take(name, holder, at=clock())), None)
    if place is None:
        return Sent()
    current = _Run(clock, holder, place, places, chance or random.Random())  # noqa: S311 - spreads retries, guards nothing
    try:
        return current.work(seconds)
    finally:
        current.end()


class _Run:
    def __init__(self, clock: Clock, holder: str, place: str, places: Sequence[str], chance: random.Random) -> None:
        self._clock, self._holder, self._place, self._chance = clock, holder, place, chance
        self._places = places
        self._threads: int = settings.SLUICE_WEBHOOK_THREADS
        self._per_host: int = settings.SLUICE_WEBHOOK_HOST_CONNECTIONS
        self._pool = ThreadPoolExecutor(self._threads, "webhook")
        self._results: queue.SimpleQueue[Made] = queue.SimpleQueue()
        self._lines: dict[int, Line] = {}
        self._by_host: Counter[str] = Counter()
        self._under_way = 0
        self._by_share: Counter[Share] = Counter()
        self._addresses = Addresses()
        self._signer: Signer | None = None
        self._sent = Sent()
        self._turns = Turns()
        # When calls in a row end, in seconds of `time.monotonic`.
        self._ends_at = 0.0
        # Hosts that were another worker's to take at the last look.
        self._passed_over: set[str] = set()

    def work(self, seconds: float) -> Sent:
        self._ends_at = time.monotonic() + seconds
        looked_at = renewed_at = float("-inf")
        while True:
            now = time.monotonic()
            if now >= self._ends_at:
                self._sent.has_more = bool(self._lines or self._passed_over)
                break
            if now - looked_at >= _LOOK_EVERY:
                self._look()
                looked_at = now
                if not self._lines and not self._passed_over:
                    break
            if now - renewed_at >= _RENEW_EVERY:
                leases.renew(self._leases(), self._holder, at=self._clock())
                renewed_at = now
            self._fill()
            self._dispatch()
            self._collect(_IDLE)
            self._drop_idle()
        while self._under_way:
            self._collect(TIMEOUT)
        return self._sent

    def end(self) -> None:
        """Give back what was taken and not done, whatever ended the run."""
        self._pool.shutdown(wait=True)
        for line in self._lines.values():
            self._give_back(line)
        leases.give_back(self._leases(), self._holder)

    # --- What is due -------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Find the webhooks that have something due, and end the lines of those that are no longer called."""
        now = self._clock()
        callable_ = {row[0]: row for row in due_webhooks(now, also=self._lines).values_list(
            "pk", "url", "sign", "circuit__failures", "circuit__opened_at", "circuit__answered_at", "server__organization_id"
        )}  # fmt: skip
        for pk in [pk for pk in self._lines if pk not in callable_]:
            self._close(self._lines[pk])
        fresh = [row for pk, row in callable_.items() if pk not in self._lines]
        self._chance.shuffle(fresh)
        held = {line.host for line in self._lines.values()}
        groups = [(line.organization_id, line.has_answered) for line in self._lines.values()]
        passed_over, self._passed_over = self._passed_over, set()
        for row, has_place in with_a_place(fresh, lambda row: (row[-1], _answers(row, now)), groups):
            pk, url, is_signed, failures, opened_at, answered_at, organization_id = row
            if not has_place and len(self._lines) >= MOST:
                break
            host = _host_of(url)
            if host not in held:
                if host not in passed_over and not self._is_ours(host):
                    # Another worker may take it until the next look.
                    self._passed_over.add(host)
                    continue
                if not leases.take(f"host:{host}", self._holder, at=now):
                    # Another worker calls this host, and so all that is due there.
                    continue
            held.add(host)
            self._lines[pk] = Line(
                pk,
                url,
                is_signed,
                host,
                organization_id,
                failures or 0,
                opened_at is not None,
                answered_at,
                has_answered=_answers(row, now),
            )
            self._turns.add(organization_id, pk)
        for pk, line in self._lines.items():
            # Of one that is no longer called, calls may still be under way.
            if pk in callable_:
                line.is_drained = False
                line.url, line.is_signed = callable_[pk][1:3]

    def _is_ours(self, host: str) -> bool:
        """Return whether this worker is the first to take a host: otherwise the one that looks first would take all."""
        return self._places[zlib.crc32(host.encode()) % len(self._places)] == self._place

    def _fill(self) -> None:
        now = self._clock()
        for line in self._lines.values():
            if line.is_closed or line.is_drained or len(line.ready) >= line.window * line.row_length:
                continue
            wanted = 1 if line.is_trial else min(_HELD, 4 * line.window * line.row_length)
            wanted -= len(line.ready) + line.in_rows
            if wanted <= 0:
                continue
            claimed = claiming.claim(line.webhook_id, wanted, at=now)
            line.ready.extend(claimed)
            line.is_drained = not claimed

    def _drop_idle(self) -> None:
        for pk, line in list(self._lines.items()):
            if not line.ready and not line.under_way and (line.is_drained or line.is_closed):
                del self._lines[pk]
                self._turns.remove(line.organization_id, pk)
                if all(each.host != line.host for each in self._lines.values()):
                    leases.give_back([f"host:{line.host}"], self._holder)

    # --- Calls -------------------------------------------------------------------------------------------------------

    def _dispatch(self) -> None:
        """Begin as many calls as may be under way, one for each organization in turn, and of its webhooks in turn."""
        while self._under_way < self._threads and (pk := self._turns.next(lambda pk: self._may_call(self._lines[pk]))):
            self._begin(self._lines[pk])

    def _may_call(self, line: Line) -> bool:
        if not line.ready or line.under_way >= line.window or self._by_host[line.host] >= self._per_host:
            return False
        return line.share is Share.ANSWERING or self._by_share[line.share] < max(1, self._threads // 4)

    def _begin(self, line: Line) -> None:
        if line.is_signed and self._signer is None:
            self._signer = signer(at=self._clock())
        row = [line.ready.popleft() for _ in range(min(line.row_length, len(line.ready)))]
        line.under_way += 1
        line.in_rows += len(row)
        self._under_way += 1
        self._by_host[line.host] += 1
        share = line.share
        self._by_share[share] += 1
        self._pool.submit(self._make, line, row, self._signer if line.is_signed else None, share)

    def _make(self, line: Line, row: list[Claimed], by: Signer | None, share: Share) -> None:
        resolve = self._addresses.resolve
        self._results.put(
            make(line, row, signer=by, share=share, resolve=resolve, until=self._ends_at, clock=self._clock)
        )

    # --- Results -----------------------------------------------------------------------------------------------------

    def _collect(self, seconds: float) -> None:
        """Wait for results so long, and write down those that there are."""
        made: list[Made] = []
        try:
            made.append(self._results.get(timeout=seconds))
            while sum(len(each.calls) for each in made) < _WRITTEN_AT_ONCE:
                made.append(self._results.get_nowait())
        except queue.Empty:
            pass
        if not made:
            return
        by_line: dict[int, tuple[Line, list[Outcome]]] = {}
        for each in made:
            line = each.line
            self._under_way -= 1
            self._by_share[each.share] -= 1
            self._by_host[line.host] -= 1
            line.under_way -= 1
            line.in_rows -= len(each.calls) + len(each.left)
            line.seconds = each.seconds / len(each.calls)
            # They wait as before, or are given back as those of a line that has ended.
            line.ready.extendleft(reversed(each.left))
            by_line.setdefault(line.webhook_id, (line, []))[1].extend(outcome for _, outcome, _ in each.calls)
        claiming.write([call for each in made for call in each.calls], self._chance)
        for line, outcomes in by_line.values():
            self._learn(line, outcomes)
            if line.is_closed:
                self._give_back(line)

    def _learn(self, line: Line, outcomes: list[Outcome]) -> None:
        """Let a webhook's answers decide how many calls of it there may be, and whether there may be any."""
        failures, has_success = 0, False
        for outcome in outcomes:
            if outcome.is_success:
                failures, has_success = 0, True
                line.window = min(line.window + 1, self._per_host)
                self._sent.delivered += 1
            else:
                failures += 1
                line.window = 1
                self._sent.failed += 1
        if has_success:
            now = self._clock()
            if line.failures or line.answered_at is None or line.answered_at < now - _NOTED_EVERY:
                circuits.note_success(line.webhook_id, at=now)
                line.answered_at = now
            line.has_answered, line.failures, line.is_trial = True, 0, False
        if failures:
            line.has_answered = False
            line.failures += failures
            error = outcomes[-1].error or f"Status {outcomes[-1].status}"
            if circuits.note_failures(line.webhook_id, failures, error=error, at=self._clock(), chance=self._chance):
                self._close(line)

    def _close(self, line: Line) -> None:
        line.is_closed = True
        self._give_back(line)

    def _give_back(self, line: Line) -> None:
        claiming.give_back(line.ready, at=self._clock())
        line.ready.clear()

    def _leases(self) -> list[str]:
        return [self._place, *{f"host:{line.host}" for line in self._lines.values()}]


def due_webhooks(at: datetime.datetime, *, also: "dict[int, Line]") -> QuerySet[Webhook]:
    """Return the webhooks that may be called now and have something due, and those of `also` that may be called."""
    is_due = Exists(Delivery.objects.due(at).filter(webhook=OuterRef("pk")))
    may_be_called = Q(circuit=None) | Q(circuit__opened_at=None) | Q(circuit__retry_at__lte=at)
    rows = Webhook.objects.filter(enabled=True, server__deleted_at=None)
    return rows.filter(Q(pk__in=list(also)) | (is_due & may_be_called))


def _answers(row: tuple[Any, ...], now: datetime.datetime) -> bool:
    """Return whether a webhook of `_look` is taken for one that answers."""
    failures, answered_at = row[3], row[5]
    return not failures and answered_at is not None and answered_at > now - _TRUSTED_FOR


def _host_of(url: str) -> str:
    try:
        return parse(url).host
    except BadURL:
        # Its calls fail without a connection.
        return ""
