"""Reading event formats, before anything is stored: lines and records a second of a core."""

import io
import json
import statistics
import time
from collections.abc import Iterator

from stats.intake import sources
from tests.benchmarks.ratios import Ratio
from tests.stats.intake import goldens

ROUNDS = 9
LINES_A_SECOND = 60_000
# A repeated sample of this many bytes takes some tenths of a second.
SIZE = 4_000_000


def measure() -> Iterator[Ratio]:
    """Yield the rates of all formats."""
    for sample in goldens.ALL:
        if sample.file in {"short-queue-ids.log", "address-not-on-node.log", "rsyslog-rfc3339.log"}:
            continue
        body, records = _repeated(sample)
        # By the processor's time of this process: other work on the machine does not count.
        rate = records / statistics.median(_seconds(sample.format, body) for _ in range(ROUNDS))
        unit = "lines" if sample.format in sources.STATEFUL else "records"
        goal = LINES_A_SECOND if sample.format == "postfix" else None
        yield Ratio(f"{sample.format} ({sample.file}): {unit} a second of a core", rate, goal)


def _repeated(sample: goldens.Sample) -> tuple[bytes, int]:
    """Return the sample many times over, as lines, and how many records that is."""
    text = sample.path.read_bytes()
    header = b""
    if text.startswith(b"["):
        text = b"".join(json.dumps(each).encode() + b"\n" for each in json.loads(text))
    elif sample.format == "powermta":
        header, _, text = text.partition(b"\n")
        header += b"\n"
    times = SIZE // len(text)
    return header + text * times, text.count(b"\n") * times


def _seconds(format: str, body: bytes) -> float:  # noqa: A002
    reader = sources.make(format, sources.Settings(now=goldens.NOW))
    began = time.process_time()
    for _ in reader.read([io.BytesIO(body)]):
        pass
    return time.process_time() - began
