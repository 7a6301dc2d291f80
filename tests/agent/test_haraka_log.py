"""The plug-in's log of events: whole lines, each once, also over a time in which the disk is full."""

import json
import pathlib
import shutil
import subprocess

import pytest

from tests.agent.conftest import AGENT

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="there is no node here (20 or newer)")


def test_it_works(tmp_path: pathlib.Path) -> None:
    script = pathlib.Path(__file__).with_name("log.js")
    done = subprocess.run(
        ["node", str(script), str(AGENT / "haraka"), str(tmp_path)], capture_output=True, text=True, check=True
    )

    assert json.loads(done.stdout) == {
        "is_flushed": [False, False, True],
        "while_full": '{"n":1}\n',
        "after": "".join(f'{{"n":{number}}}\n' for number in range(1, 5)),
        "files": 1,
    }
