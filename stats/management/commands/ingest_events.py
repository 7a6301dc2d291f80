"""`manage.py ingest_events FILE|-`: store events of a file; with `--source NAME`, records of an event source."""

import json
import os
import sys
import time
from abc import ABC, abstractmethod
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import IO, Any

from django.core.management import CommandError
from django.utils import timezone

from core.commands import PlainCommand
from core.errors import Refused
from stats.intake import event_sources
from stats.intake.delivery import StateMoved, deliver
from stats.intake.files import read_lines
from stats.intake.ingest import MOST_EVENTS, Directory, Receipt, Reporter, ingest
from stats.intake.remarks import Remark
from stats.intake.sources.framing import broken, open_stream, packed_otherwise, said_of_broken
from stats.intake.tally import COUNTS, LISTS, Tally
from stats.ledger.storage import yield_to_writers
from stats.tasks import request_fold

# Seconds that what was looked up is taken for true: a server that moves to another pool is seen that late.
DIRECTORY_SECONDS = 30
MOST_SHOWN = 20
BAR_WIDTH = 30


class Command(PlainCommand):
    help = (
        "Store the events of a file (one JSON object per line; plain, gzip, bzip2, xz or zstd; - for standard input) or, with "
        "--source, of files in the format of an event source. Events that are already stored count once, so an "
        "interrupted run can be repeated."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "files",
            metavar="FILE",
            nargs="+",
            help="the file, or - for standard input; with --source, all files of one machine",
        )
        parser.add_argument("--source", metavar="NAME", help="the event source of the files")
        parser.add_argument(
            "--refused", metavar="FILE", type=Path, help="write each refusal to this file, one JSON object per line"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object, without progress")

    def handle(
        self, *args: Any, files: list[str], refused: Path | None, source: str | None = None, **options: Any
    ) -> None:
        if len(files) > 1 and (source is None or "-" in files):
            raise CommandError("Several files need --source, and standard input cannot be combined with files.")
        if (
            refused
            and os.path.exists(refused)
            and any(os.path.exists(each) and refused.samefile(each) for each in files)
        ):
            raise CommandError(f"--refused must name another file: it would replace {refused}, which is to be read.")
        try:
            with refused.open("w") if refused else nullcontext() as log:
                if source is None:
                    self._ingest_file(files[0], log, as_json=options["json"])
                else:
                    self._ingest(SourceRun(source, files, log), as_json=options["json"])
        except OSError as problem:
            raise CommandError(f"{', '.join(files)}: {problem}") from None
        except Refused as problem:
            raise CommandError(problem.message) from None
        except StateMoved:
            raise CommandError(
                "Another delivery of this source was stored in the meantime. Run the command again."
            ) from None

    def _ingest_file(self, file: str, log: IO[str] | None, *, as_json: bool) -> None:
        with nullcontext(sys.stdin.buffer) if file == "-" else open(file, "rb") as raw:
            bar = Bar(raw, self.stderr) if self.stderr.isatty() and not as_json else None
            self._ingest(FileRun(raw, log, bar), as_json=as_json)

    def _ingest(self, run: "Run", *, as_json: bool) -> None:
        try:
            run.to_the_end()
        except KeyboardInterrupt:
            advice = "Interrupted. Run the command again: events that are already stored count once."
            raise CommandError(f"{run.summary()} {advice}", returncode=130) from None
        except Damaged as problem:
            raise CommandError(f"{run.summary()} {problem}.") from None
        finally:
            request_fold()
        if as_json:
            self.stdout.write(json.dumps(run.result()))
            return
        for name in LISTS:
            for remark in run.tally.remarks[name][:MOST_SHOWN]:
                self.stderr.write(f"{run.file_of(remark)}line {remark.position + 1}: {remark.code}: {remark.message}")
            if (more := run.tally.total(name) - MOST_SHOWN) > 0:
                self.stderr.write(f"and {more:,} more {name}")
        self.stdout.write(run.summary())


class Damaged(Exception):
    """Compressed data ends too early, or is damaged; what was before that is stored."""


class Run(ABC):
    """The ingestion of files."""

    def __init__(self, log: IO[str] | None, files: Sequence[str] = ()) -> None:
        self._log, self.files = log, files
        self._began = time.monotonic()
        self.tally = Tally()

    @abstractmethod
    def to_the_end(self) -> None:
        """Store everything."""

    def note(self, receipt: Receipt) -> None:
        """Log what was refused."""
        if self._log:
            for each in receipt.refused:
                file = {"file": self.files[each.stream]} if len(self.files) > 1 else {}
                said = {**file, "line": each.position + 1, "code": each.code, "message": each.message}
                self._log.write(json.dumps(said) + "\n")

    def file_of(self, remark: Remark) -> str:
        """Return the name of the remark's file with a blank; the empty text where there is one file."""
        return f"{self.files[remark.stream]} " if len(self.files) > 1 else ""

    def result(self) -> dict[str, Any]:
        """Return the result in the form of the API's response."""
        return self.tally.document(self.files) | ({"flags": {"truncated": True}} if self.tally.is_truncated else {})

    def summary(self) -> str:
        """Return the outcome as a sentence."""
        seconds = max(time.monotonic() - self._began, 1e-6)
        counts, total = self.tally.counts, self.tally.total
        describe = [f"{counts[name]:,} {name}" for name in COUNTS if counts[name] or name != "ignored"]
        describe += [f"{total(name):,} {name}" for name in LISTS if total(name) or name == "refused"]
        done = sum(counts.values()) + total("conflicts") + total("refused")
        return f"{', '.join(describe)} in {seconds:.1f} s ({done / seconds:,.0f} events a second)."


class SourceRun(Run):
    """The files of a source, read together."""

    def __init__(self, source: str, files: list[str], log: IO[str] | None) -> None:
        super().__init__(log, files)
        self._source = event_sources.source_named(source)

    def to_the_end(self) -> None:
        with ExitStack() as stack:

            def opened() -> list[IO[bytes]]:
                stack.close()
                return [
                    sys.stdin.buffer if file == "-" else stack.enter_context(open(file, "rb")) for file in self.files
                ]

            self.tally = deliver(self._source, opened, now=timezone.now(), is_whole=True, on_receipt=self.note)

    def summary(self) -> str:
        """Return the outcome as a sentence; of a log of another program too, whose lines are none of this one's."""
        text, tally = super().summary(), self.tally
        if any(tally.counts.values()) or any(map(tally.total, LISTS)):
            return text
        return f"{text} No line tells of a delivery: the source {self._source.name} reads {self._source.format}."


class FileRun(Run):
    """One file of native events."""

    def __init__(self, raw: IO[bytes], log: IO[str] | None, bar: "Bar | None") -> None:
        super().__init__(log)
        self._stream = open_stream(raw)
        self._lines = read_lines(self._stream)
        self._bar = bar
        self.done = 0

    def to_the_end(self) -> None:
        reporter = Reporter(name="ingest_events")
        if refusal := packed_otherwise(self._stream):
            raise Damaged(refusal.message)
        directory, directory_end = Directory(reporter, now=timezone.now()), time.monotonic() + DIRECTORY_SECONDS
        for numbers, events in self._batches():
            if time.monotonic() > directory_end:
                directory, directory_end = Directory(reporter, now=timezone.now()), time.monotonic() + DIRECTORY_SECONDS
            self._send(numbers, events, reporter, directory)
            if self._bar:
                self._bar.show(self.done)
            yield_to_writers()
        if self._bar:
            self._bar.clear()
        if packing := broken(self._stream):
            raise Damaged(said_of_broken(packing))

    def _batches(self) -> Iterator[tuple[list[int], list[Any]]]:
        numbers: list[int] = []
        events: list[Any] = []
        for number, event in self._lines:
            numbers.append(number)
            events.append(event)
            if len(events) == MOST_EVENTS:
                yield numbers, events
                numbers, events = [], []
        if events:
            yield numbers, events

    def _send(self, numbers: list[int], events: list[Any], reporter: Reporter, directory: Directory) -> None:
        """Store events; those of more days than one batch takes go into batches of their own."""
        self.done += len(events)
        while events:
            receipt = ingest(events, reporter=reporter, now=timezone.now(), directory=directory)
            later = [remark.position for remark in receipt.refused if remark.code == "too_many_days"]
            receipt.refused = [remark for remark in receipt.refused if remark.code != "too_many_days"]
            self._count(receipt, numbers)
            numbers, events = [numbers[each] for each in later], [events[each] for each in later]

    def _count(self, receipt: Receipt, numbers: list[int]) -> None:
        for name in LISTS:
            remarks = getattr(receipt, name)
            remarks[:] = [remark._replace(position=numbers[remark.position] - 1) for remark in remarks]
        self.tally.add(receipt)
        self.note(receipt)


class Bar:
    """A line at the terminal that says how far the file is, by bytes read; without an end for a pipe."""

    def __init__(self, raw: IO[bytes], out: Any) -> None:
        self._raw, self._out = raw, out
        self._size = os.fstat(raw.fileno()).st_size if raw.seekable() else 0

    def show(self, done: int) -> None:
        if self._size:
            part = min(1.0, self._raw.tell() / self._size)
            filled = "█" * round(part * BAR_WIDTH)
            self._write(f"{filled:░<{BAR_WIDTH}} {part:4.0%} {done:,} events")
        else:
            self._write(f"{done:,} events")

    def clear(self) -> None:
        self._write("")

    def _write(self, text: str) -> None:
        self._out.write(f"\r\x1b[K{text}", ending="")
        self._out.flush()
