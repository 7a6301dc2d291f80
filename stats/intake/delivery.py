"""A delivery of an event source: parsed by the format's reader, resolved, stored, and counted."""

import datetime
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any

from django.db import DatabaseError, transaction

from core.locks import advisory
from ippools.models import FormerAddressName, IPAddress
from stats.intake import known_names, sources
from stats.intake.attribution import Attribution
from stats.intake.ingest import MOST_EVENTS, Directory, Receipt, Reporter, ingest
from stats.intake.remarks import Remark
from stats.intake.source_counts import Account
from stats.intake.sources import Event, Ignored, Outcome, Refused
from stats.intake.tally import LISTS, Tally
from stats.ledger import database, storage
from stats.models import EventSource, SourceState

# Deliveries of one log at the same time are rare: the later one reads its lines again, with the state of the earlier.
_ATTEMPTS = 3
_LONGEST_WORD = 40
_BYTES_AT_ONCE = 4 * 1024 * 1024

# Opens the streams of a delivery, anew each time it is called.
type Open = Callable[[], Sequence[IO[bytes]]]


class StateMoved(Exception):
    """Another delivery of the same source was stored in the meantime; this one must be parsed again."""


def deliver(
    source: EventSource,
    open_streams: Open,
    *,
    now: datetime.datetime,
    limit: int | None = None,
    most_records: int | None = None,
    is_whole: bool = False,
    on_receipt: Callable[[Receipt], None] = lambda receipt: None,
) -> Tally:
    """Store a delivery of a source, and return the outcome of each record.

    The state of a log's reader is stored in the transaction of the delivery's last events: a delivery that breaks is sent
    again, and what was stored of it counts once. `is_whole` says that the streams are all there is of a log, so that what
    its reader holds back is told. `on_receipt` is told of each part. `limit` is the most unpacked bytes; more, or more
    records than `most_records`, raises sources.TooLarge, and what was stored before stays stored.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return _Delivery(source, now, limit, most_records, on_receipt).run(open_streams(), is_whole=is_whole)
        except StateMoved:
            if attempt == _ATTEMPTS:
                raise
        except DatabaseError as error:
            if attempt == _ATTEMPTS or database.connection().in_atomic_block or not storage.is_passing(error):
                raise
    raise AssertionError("unreachable")


class _Delivery:
    """One attempt."""

    def __init__(
        self,
        source: EventSource,
        now: datetime.datetime,
        limit: int | None,
        most_records: int | None,
        on_receipt: Callable[[Receipt], None],
    ) -> None:
        self._source, self._now, self._most_records, self._on_receipt = source, now, most_records, on_receipt
        self._is_stateful = source.format in sources.STATEFUL
        stored = SourceState.objects.filter(source=source).first() if self._is_stateful else None
        self._version = stored.version if stored else None
        settings = sources.Settings(
            time_zone=source.time_zone,
            tenant_field=source.tenant_field,
            now=now.timestamp(),
            limit=limit,
            vmtas=_address_names() if self._is_stateful else frozenset(),
        )
        self._reader = sources.make(source.format, settings, stored.state if stored else None)
        names = None if self._is_stateful else known_names.of_this_process(now)
        self._directory = Directory(Reporter(name=f"event source {source.name}"), now=now, names=names)
        self._who = Attribution(source)
        self._tally, self._account = Tally(), Account(source, now)

    def run(self, streams: Sequence[IO[bytes]], *, is_whole: bool) -> Tally:
        """Store the streams' records part by part; the last part together with the reader's state."""
        parts = self._parts(streams, is_whole=is_whole)
        part = next(parts, [])
        while (following := next(parts, None)) is not None:
            self._store(part)
            storage.yield_to_writers()
            part = following
        if self._is_stateful:
            with self._holding_state():
                self._store(part)
                self._keep_state()
        else:
            self._store(part)
        self._account.write()
        return self._tally

    def _parts(self, streams: Sequence[IO[bytes]], *, is_whole: bool) -> Iterator[list[Outcome]]:
        """Yield outcomes in chunks, limited by number and by input bytes, because objects are larger."""
        part: list[Outcome] = []
        begun_at = 0
        for number, outcome in enumerate(self._outcomes(streams, is_whole=is_whole), 1):
            part.append(outcome)
            if self._most_records is not None and number > self._most_records:
                raise sources.TooLarge
            read = _position(streams)
            if len(part) >= MOST_EVENTS or read - begun_at > _BYTES_AT_ONCE:
                yield part
                part, begun_at = [], read
        yield part

    def _outcomes(self, streams: Iterable[IO[bytes]], *, is_whole: bool) -> Iterator[Outcome]:
        yield from self._reader.read(streams)
        if is_whole:
            yield from self._reader.finish()

    def _store(self, outcomes: Sequence[Outcome]) -> None:
        events: list[Event] = []
        receipt = Receipt()
        for outcome in outcomes:
            if type(outcome) is Event:
                events.append(outcome)
            elif type(outcome) is Ignored:
                receipt.ignored += 1
                self._account.add("ignored", outcome.word[:_LONGEST_WORD])
            elif type(outcome) is Refused:
                receipt.refused.append(Remark(outcome.index, outcome.code, outcome.message, outcome.stream))
        self._account.note_remarks("refused", receipt.refused)
        natives, warnings = self._who.resolve(events)
        self._account.note_remarks("warnings", warnings, natives)
        receipt.warnings += [_in_its_stream(each, events) for each in warnings]
        self._account.note_latest(natives)
        places = list(range(len(events)))
        while places:
            places = self._ingest(
                [natives[place] for place in places], [events[place] for place in places], receipt, places
            )
        for name in LISTS:
            getattr(receipt, name).sort(key=lambda remark: (remark.stream, remark.position))
        self._tally.add(receipt)
        self._on_receipt(receipt)

    def _ingest(self, natives: list[Any], events: list[Event], receipt: Receipt, places: list[int]) -> list[int]:
        """Store events, and return the positions of those beyond the batch's limit of days."""
        stored = ingest(natives, reporter=Reporter(is_source=True), now=self._now, directory=self._directory)
        later = [places[each.position] for each in stored.refused if each.code == "too_many_days"]
        stored.refused = [each for each in stored.refused if each.code != "too_many_days"]
        self._account.note_receipt(stored, natives)
        receipt.accepted += stored.accepted
        receipt.duplicates += stored.duplicates
        receipt.ignored += stored.ignored
        for name in LISTS:
            told: list[Remark] = getattr(receipt, name)
            told += [_in_its_stream(each, events) for each in getattr(stored, name)]
        return later

    @contextmanager
    def _holding_state(self) -> Iterator[None]:
        """A transaction for the last events and the state, so that neither is stored without the other.

        Where events are in a database of their own, they commit before the state: then it may be behind them, and they count
        once when they are read again. No other delivery stores events by the same state meanwhile.
        """
        if not database.IS_APART:
            with storage.writing():
                yield
            return
        with transaction.atomic():
            advisory(f"stats.source.{self._source.pk}")
            stored = SourceState.objects.filter(source=self._source).values_list("version", flat=True).first()
            if stored != self._version:
                raise StateMoved
            yield

    def _keep_state(self) -> None:
        """Store the reader's state, unless another delivery has stored one since this one began."""
        state = self._reader.state()
        rows = SourceState.objects.filter(source=self._source)
        if self._version is None:
            if rows.exists():
                raise StateMoved
            SourceState.objects.create(source=self._source, state=state, version=1, updated_at=self._now)
        elif not rows.filter(version=self._version).update(
            state=state, version=self._version + 1, updated_at=self._now
        ):
            raise StateMoved


def _in_its_stream(remark: Remark, events: Sequence[Event]) -> Remark:
    """Return the remark on one of the events with the event's place in its stream."""
    event = events[remark.position]
    return remark._replace(position=event.index, stream=event.stream)


def _position(streams: Sequence[IO[bytes]]) -> int:
    """Return the number of bytes read of a seekable single stream."""
    return streams[0].tell() if len(streams) == 1 and streams[0].seekable() else 0


def _address_names() -> frozenset[str]:
    """Return the names that addresses have or had."""
    former = FormerAddressName.objects.order_by().values_list("name", flat=True)
    return frozenset(IPAddress.objects.order_by().values_list("name", flat=True).union(former))
