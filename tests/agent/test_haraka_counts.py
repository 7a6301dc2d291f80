"""The plug-in's counts: never more than a send limit, all of it used, and the same after a restart."""

import json
import pathlib
import shutil
import subprocess

import pytest

from tests.agent.conftest import AGENT

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="there is no node here (20 or newer)")


def test_it_works(tmp_path: pathlib.Path) -> None:
    script = pathlib.Path(__file__).with_name("counts.js")
    done = subprocess.run(
        ["node", str(script), str(AGENT / "haraka"), str(tmp_path)], capture_output=True, text=True, check=True
    )

    assert json.loads(done.stdout) == {
        "most": 3,
        "sent": 3,
        "reached": "hour",
        "others": None,
        # Of the month's five three were sent an hour before.
        "next_hour": [True, True, False, False, False],
        "in_month": "month",
        "zero": False,
        "ends": ["2027-01-01T00:00:00.000Z"] * 3,
        "before": [1, 2],
        "after": [3, 4, 4],
        "forgotten": 0,
    }
