"""Adds up the outcomes of many events: all are counted, and the first remarks of each kind are kept."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from stats.intake.ingest import Receipt
from stats.intake.remarks import Remark

COUNTS = ("accepted", "duplicates", "ignored")
LISTS = ("conflicts", "warnings", "refused")
# An answer names so many events of each list; of more, it says that they were cut.
MOST_REMARKS = 10_000


class Tally:
    """The receipts of one delivery's parts."""

    def __init__(self) -> None:
        self.counts = dict.fromkeys(COUNTS, 0)
        self.remarks: dict[str, list[Remark]] = {name: [] for name in LISTS}
        self.codes: dict[str, Counter[str]] = {name: Counter() for name in LISTS}

    def add(self, receipt: Receipt, start: int = 0) -> None:
        """Add the outcomes of the events from the position `start` on."""
        for name in COUNTS:
            self.counts[name] += getattr(receipt, name)
        for name in LISTS:
            some: list[Remark] = getattr(receipt, name)
            kept = self.remarks[name]
            kept += [each._replace(position=start + each.position) for each in some[: MOST_REMARKS - len(kept)]]
            self.codes[name].update(each.code for each in some)

    def total(self, name: str) -> int:
        """Return how many events a list is about, including those not shown."""
        return self.codes[name].total()

    @property
    def is_truncated(self) -> bool:
        return any(self.total(name) > len(self.remarks[name]) for name in LISTS)

    def document(self, files: Sequence[str] = ()) -> dict[str, Any]:
        """Return it in the form of API responses; of several files, each remark names its own."""
        return self.counts | {name: [_document(each, files) for each in self.remarks[name]] for name in LISTS}


def _document(remark: Remark, files: Sequence[str]) -> dict[str, Any]:
    file = {"file": files[remark.stream]} if len(files) > 1 else {}
    return {**file, "index": remark.position, "code": remark.code, "message": remark.message}
