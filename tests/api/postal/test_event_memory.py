"""The memory that a body of `events` takes, measured in a process of its own: the worst that are read, and generated ones."""

import gzip
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from api.bodies import MEBIBYTE

MEMORY = 256 * MEBIBYTE

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
    for part in event_bodies.read_events(Request(open(path, "rb").read()), 10_000): del part
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
    "lists": gzip.compress(line_of(b"[],", 65_000) * 42 + line_of(b"1,", 1300) * 45_000, 1),
    "objects": gzip.compress(line_of(b'{"":1},', 65_000) * 90 + line_of(b"1,", 1100) * 45_000, 1),
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


@pytest.mark.parametrize("seed", range(2))
def test_a_generator_finds_no_worse_ones(seed, tmp_path):
    assert memory_of(generated(random.Random(seed)), tmp_path) < MEMORY
