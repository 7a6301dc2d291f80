"""What a body of `events` may cost: the worst bodies that are known, and those that a generator finds."""

import gzip
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from api.bodies import MEBIBYTE
from api.postal import event_bodies
from stats.intake.sources import framing
from tests.api.postal.test_events import document, one, post, remarks

pytestmark = [pytest.mark.storage, pytest.mark.django_db]

SECONDS = 5
MEMORY = 256 * MEBIBYTE
EMPTY_MEMBER = gzip.compress(b"", mtime=0)


@pytest.fixture(autouse=True)
def pokes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.postal.events.poke_fold", lambda: None)


REFUSED_EARLY = {
    "lines of nothing": (gzip.compress(b"{}\n" + b"1\n" * 8_000_000, 9), event_bodies.TOO_MANY_RECORDS),
    "empty lines": (gzip.compress(b"{}\n" + b"\n" * 8_000_000, 9), event_bodies.TOO_MANY_RECORDS),
    "an array of lists": (b"[" + b"[]," * 5_000_000 + b"1]", event_bodies.TOO_MANY_VALUES),
    "an array of numbers": (b"[" + b"1," * 7_000_000 + b"1]", event_bodies.TOO_MANY_VALUES),
    "an array of objects": (b"[" + b'{"a":1},' * 300_000 + b"1]", event_bodies.TOO_MANY_VALUES),
    "an array of many events": (b"[" + b"{}," * 120_000 + b"1]", event_bodies.TOO_MANY_RECORDS),
    "empty members of gzip": (gzip.compress(b"{}") + EMPTY_MEMBER * 150_000, event_bodies.TOO_MANY_PARTS),
    "empty frames of zstd": (
        framing.zstd.compress(b"{}") + framing.zstd.compress(b"") * 100_000,
        event_bodies.TOO_MANY_PARTS,
    ),
}


@pytest.mark.parametrize("name", REFUSED_EARLY)
def test_what_would_cost_too_much_is_refused_early(call, acme, name):
    body, message = REFUSED_EARLY[name]
    began = time.process_time()
    answer = post(call, acme.key, body)
    assert (answer.status_code, answer.json()["data"]) == (413, {"code": "RequestTooLarge", "message": message})
    assert time.process_time() - began < 2


def test_deep_and_long_objects_are_refused_by_themselves(call, acme):
    deep = b'{"id":' + b"[" * 20_000 + b"]" * 20_000 + b"}"
    long = gzip.compress(b'{"a":[' + b"[]," * 10_000_000 + b"1]}")
    began = time.process_time()
    answer = post(call, acme.key, deep + b"\n" + json.dumps(one()).encode()).json()["data"]
    assert answer == document(1, refused=remarks((0, "invalid_json", "The line is not JSON")))
    answer = post(call, acme.key, long).json()["data"]
    assert answer == document(refused=remarks((0, "line_too_long", "A line may have 65536 bytes")))
    assert time.process_time() - began < SECONDS


def test_the_most_refusals_that_are_accepted(call, acme):
    began = time.process_time()
    answer = post(call, acme.key, b"{}\n" + b"1\n" * (event_bodies.MOST_RECORDS - 1)).json()
    assert (len(answer["data"]["refused"]), answer["flags"]) == (10_000, {"truncated": True})
    assert time.process_time() - began < SECONDS


# --- memory: in a process of its own, whose highest mark is its own ------------------------------------------------------

CHILD = """
import resource, sys, django
django.setup()
from api.postal import event_bodies
from api.problems import Declined
import api.bodies
class Request:
    def __init__(self, body): self.body, self.headers = body, {}
api.bodies.read = lambda request, limit: request.body
path = sys.argv[1]
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
before = peak()
try:
    for part in event_bodies.read_events(Request(open(path, "rb").read()), 10_000): pass
except Declined as refusal: print(refusal.problem.code, file=sys.stderr)
print(peak() - before)
"""


def memory_of(body: bytes, folder: Path) -> int:
    path = folder / "body"
    path.write_bytes(body)
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "config.settings", "SLUICE_DATA_DIR": str(folder)}
    environment.pop("DATABASE_URL", None)
    root = Path(__file__).parents[3]
    result = subprocess.run(
        [sys.executable, "-c", CHILD, str(path)], env=environment, capture_output=True, text=True, check=True, cwd=root
    )
    return int(result.stdout)


def line_of(value: bytes, length: int) -> bytes:
    return b'{"a":[' + value * ((length - 10) // len(value)) + b"1]}\n"


LARGEST = {
    "lists": gzip.compress(line_of(b"[],", 65_000) * 1_000, 1),
    "objects": gzip.compress(line_of(b'{"":1},', 65_000) * 1_000, 1),
    "texts": gzip.compress(line_of(b'"\xc3\xa9\xc3\xa9",', 65_000) * 1_000, 1),
    "an array of texts": b"[" + b'"\xc3\xa9\xc3\xa9\xc3\xa9",' * 999_000 + b"1]",
    "an array of objects": b"[" + b'{"x":{"y":1}},' * 90_000 + b"1]",
}


@pytest.mark.parametrize("name", LARGEST)
def test_the_worst_bodies_that_are_read_take_bounded_memory(name, tmp_path):
    assert memory_of(LARGEST[name], tmp_path) < MEMORY


VALUES = [
    b"1",
    b"[]",
    b"{}",
    b'"a"',
    b'"\xc3\xa9\xc3\xa9"',
    b'{"a":1}',
    b"[[]]",
    b"1.5",
    b"null",
    b'""',
    b"12345678901",
]


def generated(dice: random.Random) -> bytes:
    value = b",".join(dice.choices(VALUES, k=dice.randint(1, 4))) + b","
    if dice.random() < 0.3:
        return b"[" + value * dice.randint(1, 16 * MEBIBYTE // len(value) - 1) + b"1]"
    line = line_of(value, dice.choice([50, 700, 65_000]))
    return gzip.compress(line * min(60 * MEBIBYTE // len(line), dice.choice([1_000, 90_000])), 1)


@pytest.mark.parametrize("seed", range(4))
def test_a_generator_finds_no_worse_ones(seed, tmp_path):
    assert memory_of(generated(random.Random(seed)), tmp_path) < MEMORY


@pytest.mark.parametrize("window", [27])
def test_a_window_of_zstd_is_bounded(call, acme, window: int) -> Any:
    options = {
        framing.zstd.CompressionParameter.window_log: window,
        framing.zstd.CompressionParameter.enable_long_distance_matching: 1,
    }
    body = framing.zstd.ZstdCompressor(options=options).compress(b"{}\n" * 100, framing.zstd.ZstdCompressor.FLUSH_FRAME)
    answer = post(call, acme.key, body)
    assert answer.status_code in (200, 413)
