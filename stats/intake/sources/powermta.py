"""PowerMTA: accounting files, CSV with a header."""

import json
from collections.abc import Iterable, Iterator
from typing import IO, Any

from stats.intake.sources.base import (
    Found,
    Ignored,
    Outcome,
    RecordReader,
    Settings,
    Unreadable,
    digest,
    earlier,
    moment,
    stamp,
    tenant,
)
from stats.intake.sources.fields import Fields
from stats.intake.sources.framing import csv_records, open_stream

_KINDS = {
    "r": "incoming",
    "d": "sent",
    "t": "deferred",
    "b": "bounced",
    "f": "complaint",
    # Remote: a bounce message that came back after the delivery.
    "rb": "late_bounce",
}
# Equal rows are of one second; so many rows back they are looked for.
_MOST_KNOWN = 200_000


class AccountingReader(RecordReader):
    """Reads accounting files. A row has no id: it is its content, and its number among equal rows of the file."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, csv_records, self._read, open_stream)
        self._known: dict[str, int] = {}

    def read(self, streams: Iterable[IO[bytes]]) -> Iterator[Outcome]:
        """Yield the outcome of each row."""
        return super().read(self._each(streams))

    def _each(self, streams: Iterable[IO[bytes]]) -> Iterator[IO[bytes]]:
        for stream in streams:
            self._known.clear()
            yield stream

    def _read(self, index: int, row: dict[str, str], settings: Settings) -> Found:
        word = row.get("type", "")
        kind = _KINDS.get(word)
        if kind is None:
            if not word:
                raise Unreadable("invalid_event", "A row must have a type")
            return [Ignored(index, word)]
        zone = settings.time_zone
        at = moment(row.get("timeLogged"), "timeLogged", zone)
        content = json.dumps(row, sort_keys=True)
        same = digest(content)
        number = self._known.pop(same, -1) + 1
        self._known[same] = number
        if len(self._known) > _MOST_KNOWN:
            del self._known[next(iter(self._known))]
        fields = Fields(id=same + digest(content, number), type=kind, at=stamp(at), server=_tenant(row, settings))
        if row.get("dlvSourceIp"):
            fields.values["ip"] = row["dlvSourceIp"]
        fields.party("from", row.get("orig"))
        fields.party("to", row.get("rcpt") or None)
        if kind not in {"incoming", "complaint"}:
            said = row.get("dsnDiag", "")
            fields.reply(said.removeprefix("smtp;"), enhanced=row.get("dsnStatus"))
            fields.mx(row.get("dsnMta", "").partition(" (")[0], row.get("dlvDestinationIp"))
            if kind != "late_bounce":
                fields.since(earlier(row.get("timeQueued"), zone), at)
        # The source address is empty where no connection was made: then it is that of the VirtualMTA.
        texts = [row.get(name, "") for name in ("vmta", "jobId", "queue", "vmtaPool", "envId")]
        vmta = "" if kind in {"incoming", "complaint"} else row.get("vmta", "")
        return [fields.event(index, vmta=vmta, texts=texts)]


def reader(settings: Settings) -> AccountingReader:
    """Return a reader of accounting files."""
    return AccountingReader(settings)


def _tenant(row: dict[str, Any], settings: Settings) -> str | None:
    # A logged header is a column of its own: header_X-Tenant.
    headers = {name.removeprefix("header_"): value for name, value in row.items() if name.startswith("header_")}
    return tenant(settings, ("rcvSmtpUser",), row, headers)
