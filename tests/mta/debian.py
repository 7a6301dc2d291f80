"""A fresh Debian machine: installed by debootstrap, booted with systemd in a network namespace, and thrown away afterwards.

Its packages are downloaded before, so that it is booted without a way to any other machine.
"""

import contextlib
import functools
import itertools
import os
import pathlib
import pty
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator

from tests.mta.namespace import Namespace

SUITE = os.environ.get("SLUICE_DEBIAN_SUITE", "bookworm")
# Outside of the repository, as Haraka is.
FOLDER = pathlib.Path(os.environ.get("SLUICE_DEBIAN") or pathlib.Path.home() / f".cache/sluice/debian-{SUITE}")
SECONDS_TO_BOOT, SECONDS_TO_INSTALL = 120, 300
SECONDS_OF_SILENCE = 2.0


class CannotBoot(Exception):
    """There can be no such machine here, and why."""


class Debian:
    """A booted machine."""

    def __init__(self, folder: pathlib.Path, inside: Namespace) -> None:
        self.folder = folder
        self._inside = inside
        self._init = ""
        self.start()

    def start(self) -> None:
        """Boot it. Raises CannotBoot."""
        with self._console.open("ab") as log:
            self._nspawn = subprocess.Popen(
                [
                    "systemd-nspawn",
                    "--quiet",
                    "--register=no",
                    "--keep-unit",
                    "--console=pipe",
                    "--resolv-conf=off",
                    "--timezone=off",
                    "--link-journal=no",
                    f"--network-namespace-path=/run/netns/{self._inside.name}",
                    f"--directory={self.folder}",
                    "--boot",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + SECONDS_TO_BOOT
        while self._nspawn.poll() is None and time.monotonic() < deadline:
            time.sleep(0.5)
            for child in self._children():
                if _is_up(child):
                    self._init = child
                    return
        self.end()
        raise CannotBoot(f"Debian does not boot here: {self._console.read_text(errors='replace')[-1000:]}")

    def reboot(self) -> None:
        """Boot it again, as a machine does by itself."""
        self.run("systemctl reboot")
        self._nspawn.wait(SECONDS_TO_BOOT)
        self.start()

    def end(self) -> None:
        """End it as a power cut would: with its first process all of it ends."""
        for child in self._children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGKILL)
        self._nspawn.kill()
        self._nspawn.wait()

    @property
    def _console(self) -> pathlib.Path:
        return self.folder.parent / "console"

    def _children(self) -> list[str]:
        children = pathlib.Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children")
        return children.read_text().split() if children.exists() else []

    @property
    def _enter(self) -> list[str]:
        # What a log-in as root has.
        surroundings = [
            "HOME=/root",
            "LANG=C.UTF-8",
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        ]
        namespaces = ["nsenter", "--all", "--target", self._init, "--"]
        return [*namespaces, "env", "-i", *surroundings, "bash", "-c"]

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command as root, in its home."""
        return subprocess.run(
            [*self._enter, f"cd /root; {command}"], capture_output=True, text=True, stdin=subprocess.DEVNULL
        )

    def type(self, command: str) -> str:
        """Run a command on a terminal, answer each of its questions by Enter, and return what was on the screen.

        Where Enter does nothing, as on a text that can be scrolled, Tab leads to the button.
        """
        ours, theirs = pty.openpty()
        child = subprocess.Popen(
            [*self._enter, f"cd /root; export TERM=linux; {command}"],
            # What is typed goes to programs whose terminal it is, and to no others.
            preexec_fn=functools.partial(os.login_tty, theirs),
        )
        os.close(theirs)
        seen, answers = b"", itertools.cycle((b"\r", b"\t\r"))
        deadline = time.monotonic() + SECONDS_TO_INSTALL
        with os.fdopen(ours, "r+b", buffering=0) as terminal, contextlib.suppress(OSError):
            while time.monotonic() < deadline:
                if select.select([terminal], [], [], SECONDS_OF_SILENCE)[0]:
                    seen += terminal.read(65536)
                elif child.poll() is None and is_question(seen):
                    terminal.write(next(answers))
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(10)
        child.kill()
        assert child.wait() == 0, seen.decode(errors="replace")[-3000:]
        return seen.decode(errors="replace")


def is_question(seen: bytes) -> bool:
    """Tell whether the last thing on the screen waits for an answer: the line is not ended."""
    return not seen.endswith(b"\n")


def installed(packages: str) -> pathlib.Path:
    """Return the folder of a Debian that has nothing but what is in every one, and these packages to be installed."""
    root, done = FOLDER / "root", FOLDER / "done"
    _need("systemd-nspawn")
    if not done.exists():
        _need("debootstrap")
        shutil.rmtree(FOLDER, ignore_errors=True)
        FOLDER.mkdir(parents=True)
        _run("unshare", "--mount", "debootstrap", SUITE, str(root))
        done.touch()
    if done.read_text() != packages:
        _run("chroot", str(root), "apt-get", "install", "--download-only", "--yes", *packages.split())
        done.write_text(packages)
    return root


@contextlib.contextmanager
def booted(inside: Namespace, packages: str, folder: pathlib.Path) -> Iterator[Debian]:
    """Boot a fresh machine in a namespace. What it writes is in `folder`, and nowhere else. Raises CannotBoot."""
    below, root = installed(packages), folder / "root"
    for name in ("upper", "work", "root"):
        (folder / name).mkdir(mode=0o755)
    with contextlib.ExitStack() as stack:
        places = f"lowerdir={below},upperdir={folder / 'upper'},workdir={folder / 'work'}"
        _run("mount", "-t", "overlay", "overlay", "-o", places, str(root))
        stack.callback(subprocess.run, ["umount", "--lazy", str(root)], check=True)
        for name, text in {"hostname": "mta1\n", "resolv.conf": "nameserver 203.0.113.1\n"}.items():
            (root / "etc" / name).unlink(missing_ok=True)
            (root / "etc" / name).write_text(text)
        debian = Debian(root, inside)
        stack.callback(debian.end)
        yield debian


def _is_up(init: str) -> bool:
    done = subprocess.run(
        ["nsenter", "--all", "--target", init, "--", "systemctl", "is-system-running"], capture_output=True, text=True
    )
    return done.stdout.strip() in ("running", "degraded")


def _need(program: str) -> None:
    if shutil.which(program) is None:
        raise CannotBoot(f"there is no {program} (Debian: debootstrap systemd-container)")


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise CannotBoot(f"{command[0]} {command[1]}: {(done.stderr or done.stdout).strip()[-500:]}")
