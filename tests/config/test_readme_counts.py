"""The README's story of counting, pasted into a shell beside a running panel that has the demo's data too."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tools import panel

pytestmark = [pytest.mark.server, pytest.mark.live]


def test_the_api_and_the_file_agree(tmp_path: Path) -> None:
    section = (panel.ROOT / "README.md").read_text().split("## Count something\n")[1].split("\n## ")[0]
    script = "".join(re.findall(r"```bash\n(.*?)```", section, re.DOTALL))
    with panel.running(tmp_path, static=False) as sluice:
        for printed, real in (
            ("http://localhost:8000", sluice.url),
            (".venv/bin/python", sys.executable),
            # The body keeps its size, which is near what a request may hold; the file's is a matter of patience only.
            ("range(300_000)", "range(42_000)"),
            ("head -260000", "head -2000"),
        ):
            assert printed in script, printed
            script = script.replace(printed, real)
        done = subprocess.run(
            ["bash", "-euo", "pipefail"],
            input=script + '\nrm -r "$T"\n',
            cwd=panel.ROOT,
            env=sluice.environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
    assert done.returncode == 0, done.stderr
    # curl ends no line.
    posted, pools = (
        json.loads(answer) for answer in re.findall(r'^\{"status".*?\}\}(?=\d)', done.stdout, re.MULTILINE)
    )
    number = int(done.stdout.split()[-1].rpartition("}")[2])
    assert posted["data"]["accepted"] == 40_000
    [pool] = [each for each in pools["data"]["ip_pools"] if each["name"] == "Initech Main"]
    assert pool["stats"]["total_messages_sent"] == number > 0
