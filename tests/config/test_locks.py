"""The check of the lock files finds what it is for."""

import shutil
from pathlib import Path

import pytest

from tools import check_locks

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_locks_are_well() -> None:
    assert list(check_locks.faults(ROOT)) == []


@pytest.mark.parametrize(
    "line",
    ["--index-url example", "--extra-index-url example", "--find-links wheels", "x @ https://example/x.whl", "-i e"],
)
def test_it_finds_an_address(copy: Path, line: str) -> None:
    path = copy / "requirements" / "test.txt"
    path.write_text(f"{line}\n{path.read_text()}")
    assert list(check_locks.faults(copy)) == ["test.txt contains a URL; regenerate it with `make lock`."]


def test_it_finds_a_version_without_a_hash(copy: Path) -> None:
    path = copy / "requirements" / "base.txt"
    lines = [line.rstrip(" \\") for line in path.read_text().splitlines() if "--hash" not in line]
    path.write_text("\n".join(lines))
    assert list(check_locks.faults(copy)) == [
        "base.txt contains a version without a hash; regenerate it with `make lock`."
    ]


def test_it_finds_a_dependency_that_was_not_locked(copy: Path) -> None:
    path = copy / "pyproject.toml"
    path.write_text(path.read_text().replace('"hiredis~=3.5",', '"hiredis~=3.5",\n    "Flying.Carpet>=1",'))
    assert [fault.split(",")[0] for fault in check_locks.faults(copy)] == [
        f"{lock}.txt does not hold flying-carpet" for lock in check_locks.GROUPS
    ]
