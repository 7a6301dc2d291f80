"""The wheel holds the whole product and nothing else, and works outside the checkout. `make wheel` installs it for real."""

import importlib
import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import sluice
from config import production
from panel.help_pages import PAGES
from sluice.secrets import new_secrets
from tools.dead_code import PRODUCT

pytestmark = pytest.mark.live

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = (*PRODUCT, "agent", "templates")
NOT_SHIPPED = {".pyc", ".new"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of an unpacked wheel."""
    pytest.importorskip("hatchling", reason="hatchling is in the group `build` of pyproject.toml")
    folder = tmp_path_factory.mktemp("wheel")
    # Its own process: hatchling reads the project of the working directory.
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    [built] = folder.glob("*.whl")
    assert built.name == f"sluice-{sluice.__version__}-py3-none-any.whl"
    with zipfile.ZipFile(built) as archive:
        archive.extractall(folder / "unpacked")
    return folder / "unpacked"


def files(top: Path, folders: tuple[str, ...]) -> set[str]:
    found = (path for folder in folders for path in (top / folder).rglob("*") if path.is_file())
    return {str(path.relative_to(top)) for path in found if path.suffix not in NOT_SHIPPED}


def test_it_holds_the_product(wheel: Path) -> None:
    assert {path.name for path in wheel.iterdir()} == {"sluice", f"sluice-{sluice.__version__}.dist-info"}
    helps = {f"docs/{name}.md" for name in PAGES}
    assert files(wheel / "sluice" / "app", (".",)) == files(ROOT, FOLDERS) | {"manage.py"} | helps


def test_the_lists_of_folders_agree() -> None:
    shipped = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert set(shipped["only-include"]) == {*FOLDERS, "sluice"}
    assert set(shipped["sources"]) == set(FOLDERS)


def run(wheel: Path, cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "HOME": str(cwd), "PYTHONPATH": str(wheel)}
    command = [sys.executable, "-P", "-m", "sluice", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, check=False, capture_output=True, text=True, timeout=120)


def test_a_command_works_elsewhere(wheel: Path, tmp_path: Path) -> None:
    # Modules of the caller's folder are not taken for Sluice's.
    (tmp_path / "config.py").write_text("raise SystemExit('the wrong one')")
    done = run(wheel, tmp_path, "check")
    assert (done.returncode, done.stdout) == (0, "System check identified no issues (0 silenced).\n"), done.stderr
    data = tmp_path / ".local" / "share" / "sluice"
    assert (data / "secrets.json").stat().st_mode & 0o777 == 0o600
    assert run(wheel, tmp_path, "--version").stdout == f"{sluice.__version__}\n"


@pytest.mark.parametrize(
    ("name", "said"), [("web", "gunicorn"), ("worker", "Worker Options"), ("beat", "Beat Options")]
)
def test_the_processes_are_found(wheel: Path, tmp_path: Path, name: str, said: str) -> None:
    done = run(wheel, tmp_path, name, "--help")
    assert done.returncode == 0, done.stderr
    assert said in done.stdout


def test_the_entry_point_exists() -> None:
    [(name, place)] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"].items()
    module, _, function = place.partition(":")
    assert name == "sluice"
    assert callable(getattr(importlib.import_module(module), function))


def test_secrets_are_those_that_production_asks_for() -> None:
    first, second = (dict(line.split("=", 1) for line in new_secrets()) for _ in range(2))
    assert list(first) == ["SECRET_KEY", "SLUICE_ENCRYPTION_KEYS", "POSTGRES_PASSWORD", "VALKEY_PASSWORD"]
    assert not set(first.values()) & set(second.values())
    database = f"postgres://sluice:{first['POSTGRES_PASSWORD']}@db/sluice"
    broker = f"redis://:{first['VALKEY_PASSWORD']}@broker:6379/0"
    environment = {"DATABASE_URL": database, "REDIS_URL": broker, "ALLOWED_HOSTS": "panel.example", **first}
    assert list(production.refusals(environment)) == []
