"""The memory that a body of `events` takes, measured in a process of its own: the worst that are read, and generated ones."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.bodies import LARGEST, MEMORY, any_shape

pytestmark = pytest.mark.live

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


@pytest.mark.parametrize("name", LARGEST)
def test_the_worst_bodies_that_are_read_take_bounded_memory(name, tmp_path):
    assert memory_of(LARGEST[name], tmp_path) < MEMORY


@pytest.mark.parametrize("seed", range(2))
def test_a_generator_finds_no_worse_ones(seed, tmp_path):
    assert memory_of(any_shape(random.Random(seed)).body, tmp_path) < MEMORY
