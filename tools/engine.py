"""A Debian machine with its own Docker, in namespaces of its own: it reaches nobody, and all of it ends with it."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tools import images, network, processes

_WITHIN = 60
# $1 is the root of the machine, $2 where its engine keeps images, containers and volumes, $3 the packages of pip, $4 its name,
# $5 the engine's options.
_BOOT = """
set -eu
root=$1
mount --make-rprivate /
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount --rbind /sys/fs/cgroup "$root/sys/fs/cgroup"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
mkdir -p "$root/var/lib/docker" "$root/packages"
mount --bind "$2" "$root/var/lib/docker"
mount --bind -o ro "$3" "$root/packages"
ip link set lo up
hostname "$4"
printf '127.0.0.1 localhost\\n' >"$root/etc/hosts"
: >"$root/etc/resolv.conf"
cd "$root"
# Not `chroot`: whoever enters a container's mounts would then come out at the root of the machine below.
mkdir -p below
pivot_root . below
umount --lazy /below
touch /run/engine
dockerd $5 >>/var/log/dockerd 2>&1 &
# As the first process it takes in those whose parents ended.
while :; do sleep 1; done
"""


class CannotRun(Exception):
    """There can be no engine here, and why."""


class Engine:
    """The machine. `start` boots it, `cut_power` ends everything on it at once; `init` is its first process, by our numbers."""

    def __init__(self, root: Path, folder: Path, packages: Path, *, name: str = "engine", options: str = "") -> None:
        self.root, self._folder, self._packages, self.name = root, folder, packages, name
        self._group = f"/sluice-{os.getpid()}-{name}"
        self._options = f"--cgroup-parent {self._group} {options}"
        self.init = ""

    @property
    def log(self) -> Path:
        return self.root / "var" / "log" / "dockerd"

    def start(self) -> None:
        """Boot the machine, and wait for its engine. Raises CannotRun."""
        data = self._folder / "docker"
        data.mkdir(exist_ok=True)
        namespaces = ["unshare", "--net", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child"]
        places = [str(self.root), str(data), str(self._packages), self.name, self._options]
        self._console = self._folder / "console"
        # Nothing outlives `unshare`, which dies with us.
        self._machine = processes.start(
            [*namespaces, "sh", "-c", _BOOT, "sh", *places], log=self._console, user=None, last_signal=signal.SIGKILL
        )
        deadline = time.monotonic() + _WITHIN
        while self._machine.poll() is None and time.monotonic() < deadline:
            time.sleep(0.2)
            if self._has_booted() and self.run("docker version").returncode == 0:
                return
        self.cut_power()
        said = self._console.read_text() + (self.log.read_text() if self.log.exists() else "")
        raise CannotRun(f"Debian's Docker does not start here: {said[-1500:]}")

    def _has_booted(self) -> bool:
        children = Path(f"/proc/{self._machine.pid}/task/{self._machine.pid}/children").read_text().split()
        if not children:
            return False
        self.init = children[0]
        return self.run("test -e /run/engine").returncode == 0

    def cut_power(self) -> None:
        """End the machine and everything on it, as a power cut does."""
        processes.end(self._machine, signal.SIGKILL)
        deadline = time.monotonic() + _WITHIN
        # Empty control groups are left.
        while (left := self._groups()) and time.monotonic() < deadline:
            for group in left:
                with contextlib.suppress(OSError):
                    group.rmdir()
            time.sleep(0.1)

    def _groups(self) -> list[Path]:
        tops = [top for each in ("", "*") for top in Path("/sys/fs/cgroup").glob(f"{each}{self._group}".lstrip("/"))]
        return [Path(folder) for top in tops for folder, _, _ in os.walk(top, topdown=False)]

    @property
    def _enter(self) -> list[str]:
        namespaces = ["--mount", "--net", "--pid", "--uts", "--ipc"]
        # What a log-in as root has.
        surroundings = [
            "HOME=/root",
            "LANG=C.UTF-8",
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        ]
        return ["nsenter", "--target", self.init, *namespaces, "--", "env", "-i", *surroundings, "bash", "-c"]

    def run(self, command: str, *, folder: str = "/root", text: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command as root, in a folder, with this as its standard input."""
        return subprocess.run(
            [*self._enter, f"cd {folder}; {command}"], check=False, capture_output=True, text=True, input=text or ""
        )

    def started(self, command: str) -> subprocess.Popen[bytes]:
        """Start a command as root, which is silent."""
        silent = subprocess.DEVNULL
        return subprocess.Popen([*self._enter, command], stdin=silent, stdout=silent, stderr=silent)

    def load(self, image: str, name: str) -> None:
        """Give the engine one of our images under this name. Raises CannotRun."""
        file = images.archive(image, name, self.root / "srv" / "image.tar")
        done = self.run(f"docker load --quiet --input /srv/{file.name}")
        file.unlink()
        if done.returncode:
            raise CannotRun(f"{name} cannot be loaded: {done.stderr[-500:]}")

    def inside[Answer](self, function: Callable[[], Answer]) -> Answer:
        """Call a function in a thread that is in the machine's network, and return what it returns."""
        return network.inside(f"/proc/{self.init}/ns/net", function)


@contextlib.contextmanager
def running(root: Path, folder: Path, packages: Path, *, name: str = "engine", options: str = "") -> Iterator[Engine]:
    """Boot a machine of this name, whose engine has these options, until the block ends. Raises CannotRun."""
    engine = Engine(root, folder, packages, name=name, options=options)
    engine.start()
    try:
        yield engine
    finally:
        engine.cut_power()
