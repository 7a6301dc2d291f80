"""The short forms of `make fuzz`: odd requests and schemathesis against real panels, with a seed of its own each day."""

import datetime
import os
import re
import subprocess
import sys

import pytest

from tests.stats.faults.servers import PRODUCTION
from tools import panel

pytestmark = [pytest.mark.server, pytest.mark.live]


def today() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%y%m%d")


def run(*command: str) -> str:
    """Run a fuzzer to its end and return what it printed; fails where it found something."""
    surroundings = {name: value for name, value in os.environ.items() if name not in PRODUCTION}
    done = subprocess.run(
        [sys.executable, "-m", *command, "--seed", today()],
        cwd=panel.ROOT, env=surroundings, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    return done.stdout


@pytest.mark.parametrize(
    "place", [["--production"], pytest.param([], marks=pytest.mark.long)], ids=["production", "embedded"]
)
def test_some_seconds_of_odd_requests(place):
    said = run("tests.fuzz", "--seconds", "5", *place)
    found = re.search(r"([\d,]+) requests: no crash, none outside its dialect, no change by a refused one", said)
    assert found, said
    assert int(found[1].replace(",", "")) > 50


def test_some_seconds_of_schemathesis():
    said = run("tests.fuzz.schemas", "--seconds", "10", "--", "--max-examples", "3")
    found = re.search(r"(\d[\d,]*) generated", said)
    assert found, said
    assert int(found[1].replace(",", "")) > 100


def test_attacks_that_were_found_and_some_seconds_of_looking_for_worse_bodies():
    said = run("tests.fuzz.attacks", "--seconds", "5")
    assert re.search(r"\d+ bodies; the worst took \d+% of what a request may", said), said
    assert said.count("another tenant had") == 9, said
