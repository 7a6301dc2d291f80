"""Postfix: log lines of all instances of a machine, parsed by `agent.postfix_log`."""

import contextlib
import heapq
import itertools
from collections.abc import Iterable, Iterator
from typing import IO, Any

from agent import postfix_log
from agent.log_times import BadStamp, Times
from stats.intake.sources import journal
from stats.intake.sources.base import Event, Ignored, Outcome, Refused, Settings, Warn
from stats.intake.sources.framing import lines, open_stream, packed_otherwise

type _Timed = tuple[float, int, int, Any, bool]


class LogReader:
    """Reads log lines with a reader of `agent`, which keeps the state."""

    def __init__(self, settings: Settings, log: Any) -> None:
        self._settings, self._log = settings, log

    def read(self, streams: Iterable[IO[bytes]]) -> Iterator[Outcome]:
        """Yield the outcome of each line about a delivery. Several streams are merged by time."""
        opened = [open_stream(stream, self._settings.limit) for stream in streams]
        # All of it, and of the others nothing: they are one log.
        if refusal := self._unread(opened):
            yield refusal
            return
        read_line = self._log.line
        if len(opened) == 1:
            for index, line, whole in self._lines(opened[0]):
                if type(line) is bytes:
                    for out in read_line(line, (0, index), whole=whole):
                        yield outcome_of(out)
                elif isinstance(line, Refused):
                    yield line
            return
        for _, stream, index, line, whole in self._merged(opened):
            if isinstance(line, Refused):
                yield line._replace(stream=stream)
                continue
            for out in read_line(line, (stream, index), whole=whole):
                yield outcome_of(out)

    def _merged(self, opened: list[IO[bytes]]) -> Iterator[_Timed]:
        """Yield the lines of all streams by time; of one second, those of the stream that begins earlier come first.

        So a log that was rotated goes before its successor, whatever the order of the files: `mail.log*` begins with the last.
        """
        begun = []
        for number, stream in enumerate(opened):
            rest = self._timed(number, stream)
            begun += [(first, rest) for first in itertools.islice(rest, 1)]
        begun.sort(key=lambda each: each[0][0])
        return heapq.merge(*(itertools.chain([first], rest) for first, rest in begun), key=_by_time)

    def _timed(self, number: int, stream: IO[bytes]) -> Iterator[_Timed]:
        """Yield lines with their times; a line without one goes with the line before it."""
        times = Times(self._settings.time_zone, self._settings.now, None)
        at = 0.0
        for index, line, whole in self._lines(stream):
            if not isinstance(line, Refused):
                head = self._log.head(line)
                if head:
                    with contextlib.suppress(BadStamp):
                        moment = times.of(*head)
                        if not times.is_ahead(moment):
                            at = max(at, moment)
            yield at, number, index, line, whole

    def _unread(self, opened: list[IO[bytes]]) -> Refused | None:
        for number, stream in enumerate(opened):
            if refusal := packed_otherwise(stream) or journal.unread(stream, self._settings.time_zone):
                return refusal._replace(stream=number)
        return None

    def _lines(self, stream: IO[bytes]) -> Iterator[tuple[int, bytes | Refused, bool]]:
        return journal.syslog_lines(lines(stream), self._settings.time_zone)

    def finish(self) -> Iterator[Outcome]:
        """Yield held events, without a tenant."""
        return (outcome_of(out) for out in self._log.finish())

    def state(self) -> dict[str, Any]:
        """Return the state to continue with."""
        state: dict[str, Any] = self._log.state()
        return state


def reader(settings: Settings, state: dict[str, Any] | None = None) -> LogReader:
    """Return a reader of Postfix's log."""
    return LogReader(settings, postfix_log.Reader(settings.time_zone, state, settings.now, settings.vmtas))


def outcome_of(out: dict[str, Any]) -> Outcome:
    """Convert the outcome of a reader in `agent`."""
    # Held since an earlier run: its line is in no stream of this one.
    stream, index = out["where"] or (0, -1)
    if "ignored" in out:
        return Ignored(index, out["ignored"], stream)
    if "refused" in out:
        return Refused(index, out["refused"], out["message"], stream)
    tag, vmta_id = out.get("tag", ""), out.get("vmta_id")
    return Event(
        index,
        out["event"],
        stream,
        vmta=tag if vmta_id is None else "",
        vmta_id=vmta_id,
        texts=(tag,) if tag else (),
        warnings=tuple(Warn(*each) for each in out.get("warnings", ())),
    )


def _by_time(each: _Timed) -> float:
    return each[0]
