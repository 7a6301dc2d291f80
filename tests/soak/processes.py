"""What the processes use meanwhile: processor time by group, and memory by process."""

import os
import threading
import time
from collections import defaultdict
from pathlib import Path

from tests.faults.installation import Installation, children_of

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
MEBIBYTE = 1024 * 1024
# Growth of one process from the middle of a run to its end that is no leak.
ALLOWED_MEBIBYTES = 12


class Watch(threading.Thread):
    """Looks every two seconds."""

    def __init__(self, installation: Installation, worker: int, beat: int) -> None:
        super().__init__(daemon=True)
        self.installation, self.worker, self.beat = installation, worker, beat
        self.postmaster = int((installation.folder / "data" / "postmaster.pid").read_text().split()[0])
        self.valkey = installation.valkey_process()
        self.ended = threading.Event()
        self.began = time.monotonic()
        self.took = 0.0
        # (seconds since the start, resident MiB) by group and process
        self.memory: dict[tuple[str, int], list[tuple[float, float]]] = defaultdict(list)
        self.used: dict[tuple[str, int], list[float]] = defaultdict(list)

    def run(self) -> None:
        while True:
            for group, numbers in self.groups().items():
                for number in numbers:
                    self.look(group, number)
            if self.ended.wait(2):
                self.took = time.monotonic() - self.began
                return

    def groups(self) -> dict[str, list[int]]:
        return {
            "web": [self.installation.sluice.web.pid, *self.installation.web_workers()],
            "worker": [self.worker],
            "beat": [self.beat],
            "PostgreSQL": [self.postmaster, *children_of(self.postmaster)],
            "Valkey": [self.valkey],
            "the callers": [os.getpid()],
        }

    def look(self, group: str, number: int) -> None:
        try:
            fields = Path(f"/proc/{number}/stat").read_text().rpartition(") ")[2].split()
            pages = int(Path(f"/proc/{number}/statm").read_text().split()[1])
        except (FileNotFoundError, ProcessLookupError):
            return
        self.used[group, number].append((int(fields[11]) + int(fields[12])) / TICKS)
        self.memory[group, number].append((time.monotonic() - self.began, pages * PAGE / MEBIBYTE))

    def cores(self, seconds: float) -> dict[str, float]:
        """Return how many cores each group kept busy on average."""
        found: dict[str, float] = defaultdict(float)
        for (group, _), used in self.used.items():
            found[group] += (used[-1] - used[0]) / seconds
        return {group: round(value, 2) for group, value in sorted(found.items(), key=lambda each: -each[1])}

    def growth(self) -> list[tuple[str, int, float, float]]:
        """Return (group, process, MiB in the middle, MiB at the end) of ours that lived through the second half."""
        end = self.took
        found = []
        for (group, number), samples in self.memory.items():
            half = [mebibytes for at, mebibytes in samples if at >= end / 2]
            if group in {"web", "worker", "beat"} and samples[0][0] < end / 2 and samples[-1][0] > end - 6 and half:
                found.append((group, number, round(half[0], 1), round(half[-1], 1)))
        return found
