"""The interpreter is chosen by running it: a shim that only fails is passed over."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "find-python"
OLD = "#!/bin/sh\nexit 1\n"
REAL = f'#!/bin/sh\nexec {os.path.realpath(sys.executable)} "$@"\n'


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """An empty home and a PATH with nothing but a shell."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "sh").symlink_to(shutil.which("sh"))
    return tmp_path


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def find(place: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    surroundings = {"PATH": str(place / "bin"), "HOME": str(place), **variables}
    return subprocess.run([SCRIPT], env=surroundings, capture_output=True, text=True, check=False)


def test_it_passes_over_a_shim_that_fails(place: Path) -> None:
    put(place / "bin" / "python3.13", OLD)
    good = put(place / "bin" / "python3.12", REAL)
    result = find(place)
    assert (result.returncode, result.stdout) == (0, f"{good}\n")


def test_it_looks_under_pyenv(place: Path) -> None:
    put(place / "bin" / "python3.13", OLD)
    put(place / ".pyenv" / "versions" / "3.11.7" / "bin" / "python", REAL)
    good = put(place / ".pyenv" / "versions" / "3.13.0" / "bin" / "python", REAL)
    put(place / "bin" / "python3.12", REAL)
    assert find(place).stdout == f"{good}\n"


def test_it_takes_a_plain_python3_that_is_new_enough(place: Path) -> None:
    good = put(place / "bin" / "python3", REAL)
    assert find(place).stdout == f"{good}\n"


def test_it_says_in_one_sentence_what_to_install(place: Path) -> None:
    put(place / "bin" / "python3", OLD)
    result = find(place)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("Sluice needs Python 3.12, 3.13 or 3.14 with sqlite3, ssl and venv; none")
    assert result.stderr.count("\n") == 1


def test_it_takes_no_other_than_the_one_that_is_named(place: Path) -> None:
    put(place / "bin" / "python3.13", REAL)
    bad = put(place / "bin" / "other", OLD)
    result = find(place, PYTHON=str(bad))
    assert result.returncode == 1
    assert f"as {bad}" in result.stderr
