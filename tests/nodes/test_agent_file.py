"""The agent that a node is given: one file, which runs by itself."""

import io
import pathlib
import subprocess
import sys

import pytest
from django.core.management import CommandError, call_command

from nodes.agent_file import SOURCE, export_agent


def test_it_works(tmp_path: pathlib.Path) -> None:
    out = io.StringIO()
    call_command("export_agent", str(tmp_path / "node"), stdout=out)

    written = [pathlib.Path(line).relative_to(tmp_path / "node") for line in out.getvalue().splitlines()]
    plugin = sorted(path.name for path in (SOURCE / "haraka").iterdir())
    assert [str(path) for path in written] == [
        "sluice_agent.py",
        "sluice-agent.service",
        *(f"haraka/{each}" for each in plugin),
    ]
    alone = tmp_path / "elsewhere.py"
    (tmp_path / "node/sluice_agent.py").rename(alone)
    # Isolated: neither this folder nor installed packages are found.
    done = subprocess.run(
        [sys.executable, "-I", str(alone), "status", "--state", str(tmp_path / "state")],
        capture_output=True, text=True, cwd=tmp_path, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert '"running": false' in done.stdout


def test_equal_files_make_an_equal_program(tmp_path: pathlib.Path) -> None:
    first, second = (export_agent(tmp_path / name)[0].read_bytes() for name in ("one", "two"))
    assert first == second


def test_it_rejects_a_folder_that_cannot_be_made(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CommandError):
        call_command("export_agent", str(tmp_path / "file/node"))
