"""`manage.py up` from an empty folder: it tells where the panel is, lets the operator in, and leaves nothing behind."""

import http.cookiejar
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools import processes

pytestmark = [pytest.mark.server, pytest.mark.live]

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60


class Up:
    """A running `manage.py up` with a data folder and a port of its own."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port, self.log = folder, port, folder / "log"
        surroundings = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        surroundings |= {"SLUICE_DATA_DIR": str(folder / "var"), "WEB_CONCURRENCY": "1", "PYTHONUNBUFFERED": "1"}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "up", "--port", str(port)],
                cwd=ROOT,
                env=surroundings,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_until_said(self, text: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while text not in self.said:
            assert self.process.poll() is None, self.said
            assert time.monotonic() < deadline, self.said
            time.sleep(0.1)

    def family(self) -> dict[int, str]:
        """Return the command lines of all processes that carry this data folder in their environment."""
        mark = f"SLUICE_DATA_DIR={self.folder / 'var'}".encode()
        found = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
        return found

    def end(self, number: int = signal.SIGINT) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(PATIENCE)


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    running = Up(tmp_path, processes.free_port())
    yield running
    if running.process.poll() is None:
        running.end()


def sign_in(port: int, username: str, password: str) -> tuple[str, str]:
    """Return the address and the page at which a browser arrives."""
    browser = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
    )
    address = f"http://localhost:{port}/admin/login/?next=/admin/"
    page = browser.open(address, timeout=20).read().decode()
    [token] = set(re.findall(r'name="csrfmiddlewaretoken" value="([^"]+)"', page))
    form = {"csrfmiddlewaretoken": token, "username": username, "password": password, "next": "/admin/"}
    with browser.open(address, urllib.parse.urlencode(form).encode(), timeout=20) as answer:
        return answer.geturl(), answer.read().decode()


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for left processes in /proc")
def test_it_works_and_leaves_nothing(up: Up) -> None:
    up.wait_until_said("Press Ctrl-C to stop.")
    assert f"Sluice is ready: http://localhost:{up.port}/" in up.said
    [(username, password)] = re.findall(r"Sign in as (\S+) with the password (\S+)", up.said)
    address, page = sign_in(up.port, username, password)
    assert address == f"http://localhost:{up.port}/admin/"
    assert "csrfmiddlewaretoken" in page
    styles = re.findall(r'href="(/static/[^"]+\.css)"', page)
    assert styles
    for style in styles:
        with urllib.request.urlopen(f"http://localhost:{up.port}{style}", timeout=20) as answer:
            assert answer.headers["Cache-Control"] == "max-age=315360000, public, immutable"

    # A second one in the same folder would run every scheduled task twice.
    sentence = (
        f"CommandError: Sluice is already running in {up.folder / 'var'}; "
        "stop it, or set SLUICE_DATA_DIR to another folder.\n"
    )
    assert refusal("--port", str(processes.free_port()), folder=up.folder) == (1, sentence)

    family = up.family()
    assert {"gunicorn", "worker", "beat"} <= {word for line in family.values() for word in line.split()}
    began = time.monotonic()
    assert up.end(signal.SIGTERM) == 0
    # Process managers and people wait no longer.
    assert time.monotonic() - began < 10
    assert up.family() == {}
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"http://localhost:{up.port}/healthz", timeout=5)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
def test_it_ends_all_when_one_dies_and_says_which(up: Up) -> None:
    up.wait_until_said("Press Ctrl-C to stop.")
    [beat] = [pid for pid, line in up.family().items() if line.split()[-1:] == ["beat"]]
    os.kill(beat, signal.SIGKILL)
    assert up.process.wait(PATIENCE) == 1
    assert "CommandError: beat was killed by SIGKILL; the other processes are stopped as well." in up.said
    assert up.family() == {}


def refusal(*arguments: str, folder: Path) -> tuple[int, str]:
    surroundings = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    result = subprocess.run(
        [sys.executable, "manage.py", "up", *arguments],
        cwd=ROOT,
        env={**surroundings, "SLUICE_DATA_DIR": str(folder / "var")},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    return result.returncode, result.stderr


def test_a_data_folder_that_cannot_be_made_is_told_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("a file, not a folder")
    where = f"The data folder {tmp_path / 'var'} cannot be written: File exists."
    told = f"Sluice does not start:\n- {where} Set SLUICE_DATA_DIR to another one.\n"
    assert refusal(folder=tmp_path) == (1, told)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("size=1m", r"CommandError: The data folder \S+ is on a full disk \(0 MiB are left; 32 are needed\)\.\n"),
        ("ro", r"Sluice does not start:\n- The data folder \S+ cannot be written: Read-only file system\. .*\n"),
    ],
)
def test_a_small_and_a_read_only_disk_are_told_in_one_sentence(tmp_path: Path, options: str, sentence: str) -> None:
    # A mount of its own, which ends with the process.
    script = f"mount -t tmpfs -o {options} none {tmp_path} && exec {sys.executable} manage.py up"
    surroundings = {**os.environ, "SLUICE_DATA_DIR": str(tmp_path)}
    for name in ("DATABASE_URL", "DJANGO_SETTINGS_MODULE"):
        surroundings.pop(name, None)
    ended = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script],
        cwd=ROOT, env=surroundings, capture_output=True, text=True, check=False, timeout=PATIENCE,
    )  # fmt: skip
    if "unshare" in ended.stderr or "mount:" in ended.stderr:
        pytest.skip("No mount can be made here")
    assert (ended.returncode, re.fullmatch(sentence, ended.stderr) is not None) == (1, True), ended.stderr


def test_it_refuses_a_busy_port_with_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert refusal("--port", str(port), folder=tmp_path) == (
            1,
            f"CommandError: Port {port} of 127.0.0.1 is in use; choose another: make run PORT={port + 1}\n",
        )


def test_it_refuses_what_is_no_port(tmp_path: Path) -> None:
    assert refusal("--port", "70000", folder=tmp_path) == (
        1,
        "CommandError: 70000 is not a port; a port is a number up to 65535.\n",
    )


def test_it_refuses_an_address_that_is_not_ours(tmp_path: Path) -> None:
    status, sentence = refusal("--bind", "192.0.2.1", "--port", str(processes.free_port()), folder=tmp_path)
    assert status == 1
    assert sentence.startswith("CommandError: Port ")
    assert sentence.count("\n") == 1


def test_a_missing_module_is_told_in_one_sentence(tmp_path: Path) -> None:
    """A Python without the requirements, as somebody's own on PATH is."""
    result = subprocess.run(
        [sys.executable, "-S", "manage.py", "up"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr) == (
        1,
        "The module django is not installed here: run `make install`, then .venv/bin/python manage.py\n",
    )
