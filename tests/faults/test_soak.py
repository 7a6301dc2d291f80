"""The short form of `make soak`."""

import os
import subprocess
import sys

import pytest

from tests.stats.faults.servers import PRODUCTION
from tools import panel

pytestmark = [pytest.mark.server, pytest.mark.live]


def test_load_brings_no_error_and_everything_is_counted() -> None:
    surroundings = {name: value for name, value in os.environ.items() if name not in PRODUCTION}
    command = [sys.executable, "-m", "tests.soak", "--seconds", "5", "--callers", "4"]
    done = subprocess.run(command, cwd=panel.ROOT, env=surroundings, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr[-4000:]
    assert " 0 errors" in done.stdout
    assert "| report 100 events |" in done.stdout
