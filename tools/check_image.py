"""Build the image and use it as compose.yaml does, without a container engine: `python -m tools.check_image` (root).

buildah does the Dockerfile's steps. Where no registry gives the base image, a Debian of the same release with its own Python
takes its place (debootstrap), in the same name; the closing lines say so. Each process then runs as a container would: the
image as a read-only root, tmpfs and volumes where compose.yaml has them, the image's user without capabilities, compose.yaml's
command and environment. PostgreSQL and Valkey are those of the tests. What a container engine adds is not tried: its network,
its restarts, its limits, and the other images of compose.yaml.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tools import newcomer, processes, servers

ROOT = Path(__file__).resolve().parent.parent
# Bytes of the whole image, unpacked.
LARGEST = 250 * 1000**2
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sluice" / "image"
BUILDAH = ["buildah", "--root", str(CACHE / "store"), "--runroot", str(CACHE / "run"), "--storage-driver", "vfs"]
STAND_IN = "localhost/python"
# What Debian's slim images leave out.
NOT_IN_SLIM = (
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/info",
    "var/lib/apt/lists",
    "var/cache/apt",
)
# In a namespace of mounts of its own: $1 is the image, the rest `setpriv` and the command.
ENTER = """
set -eu
root=$1; shift
mount --make-rprivate /
mount --bind "$root" "$root"
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
for folder in $WRITABLE; do mount -t tmpfs -o mode=1777 tmpfs "$root/$folder"; done
[ -z "$VOLUME" ] || mount --bind "$VOLUME" "$root/data"
mount -o remount,ro,bind "$root"
exec chroot "$root" "$@"
"""


@dataclass(frozen=True)
class Image:
    """An image that was built: its unpacked files, and what it says of itself."""

    root: Path
    config: dict[str, Any]
    base: str

    @property
    def environment(self) -> dict[str, str]:
        return dict(line.split("=", 1) for line in self.config["Env"])


def main() -> int:
    """Build and try the image; the status is 1 where something is not as promised."""
    missing = [name for name in ("buildah", "debootstrap", "unshare", "setpriv") if shutil.which(name) is None]
    if os.geteuid() != 0 or missing:
        sys.exit(
            f"The check of the image needs root and Debian's buildah, debootstrap and util-linux; missing: {missing}"
        )
    lint()
    with built() as image, servers.ended_by_signals(), tempfile.TemporaryDirectory(prefix="sluice-image-") as name:
        size = sum(path.lstat().st_size for path in files(image.root))
        print(f"{size / 1000**2:.0f} MB unpacked, {image.base}")
        if size > LARGEST:
            raise newcomer.NotAsPromised(f"the image has {size} bytes, more than {LARGEST}")
        with servers.running() as surroundings:
            try_services(image, Path(name), surroundings)
        try_alone(image, Path(name))
    return 0


def lint() -> None:
    """Let hadolint read the Dockerfile, where it is installed."""
    if hadolint := shutil.which("hadolint"):
        subprocess.run([hadolint, ROOT / "Dockerfile"], check=True)
        print("hadolint: ok")
    else:
        print("hadolint is not installed: the Dockerfile is not linted")


@contextlib.contextmanager
def built() -> Iterator[Image]:
    """Yield the image of the Dockerfile, unpacked."""
    CACHE.mkdir(parents=True, exist_ok=True)
    base, what = provide_base()
    how = ["--isolation", "chroot", "--network", "host", "--pull-never", "--format", "docker", "--quiet"]
    how += ["--tag", "sluice"]
    # The machine's certificates, by which it reaches its registry of packages; they are in no layer.
    how += ["--volume", "/etc/ssl/certs:/etc/ssl/certs:ro", "--build-arg", f"BASE={base}"]
    subprocess.run([*BUILDAH, "build", *how, ROOT], check=True, stdout=subprocess.DEVNULL)
    container = said([*BUILDAH, "from", "--pull-never", "localhost/sluice"])
    try:
        root = Path(said([*BUILDAH, "mount", container]))
        config = json.loads(said([*BUILDAH, "inspect", "--type", "image", "localhost/sluice"]))["Docker"]["config"]
        yield Image(root, config, what)
    finally:
        subprocess.run([*BUILDAH, "rm", container], check=True, stdout=subprocess.DEVNULL)


def provide_base() -> tuple[str, str]:
    """Return the name of the base image, and what it is."""
    [wanted] = re.findall(r"^ARG BASE=(\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    if (
        subprocess.run(
            [*BUILDAH, "pull", "--quiet", "--policy", "always", wanted], check=False, capture_output=True
        ).returncode
        == 0
    ):
        return wanted, "on the base image"
    stand_in = STAND_IN, "on a stand-in for the base image: Debian's own Python"
    if (
        subprocess.run([*BUILDAH, "inspect", "--type", "image", STAND_IN], check=False, capture_output=True).returncode
        == 0
    ):
        return stand_in
    release = wanted.rpartition("-")[2]
    with tempfile.TemporaryDirectory(prefix="sluice-base-", dir=CACHE) as name:
        root = Path(name)
        bootstrap = [
            "debootstrap",
            "--variant=minbase",
            "--include=python3,python3-venv,ca-certificates",
            release,
            root,
        ]
        subprocess.run(bootstrap, check=True, stdout=subprocess.DEVNULL)
        for folder in NOT_IN_SLIM:
            shutil.rmtree(root / folder, ignore_errors=True)
        (root / "usr/local/bin/python").symlink_to("/usr/bin/python3")
        container = said([*BUILDAH, "from", "scratch"])
        subprocess.run([*BUILDAH, "add", "--quiet", container, root, "/"], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(
            [*BUILDAH, "commit", "--quiet", "--rm", container, STAND_IN], check=True, stdout=subprocess.DEVNULL
        )
    return stand_in


def try_services(image: Image, folder: Path, surroundings: dict[str, str]) -> None:
    """Run migrate, web, worker and beat of compose.yaml; sign in, count an event, end them."""
    composed = Composed(image, folder, surroundings)
    composed.run("migrate")
    greeting = composed.run("web", "first_operator")
    with contextlib.ExitStack() as stack:
        started = {name: stack.enter_context(composed.started(name)) for name in ("web", "worker", "beat")}
        url = f"http://localhost:{composed.port}"
        healthcheck = [*image.config["Healthcheck"]["Test"]]
        assert healthcheck.pop(0) == "CMD"
        processes.wait_until_ready(
            started["web"], lambda: composed.passes("web", healthcheck), name="web", log=folder / "web.log"
        )
        newcomer.sign_in(url, *newcomer.credentials(greeting))
        counted = newcomer.count_an_event(url, lambda *arguments: composed.run("web", *arguments))
        refused = composed.enter(
            "web", ["sh", "-c", "touch /opt/sluice/x /x 2>&1; id -u; grep CapEff /proc/self/status"]
        )
        lines = refused.splitlines()
        assert lines[0].endswith("Read-only file system"), refused
        assert lines[1].endswith("Read-only file system"), refused
        assert lines[2:] == ["10001", "CapEff:\t0000000000000000"], refused
        print(
            f"compose.yaml: migrated, web, worker and beat started, health check passes, signed in, {counted} event counted"
        )
        for name, process in started.items():
            process.send_signal(signal.SIGTERM)
            status = process.wait(40)
            assert status == 0, f"{name} ended with {status}:\n{(folder / f'{name}.log').read_text()[-2000:]}"
        print("SIGTERM: each ended with status 0")


def try_alone(image: Image, folder: Path) -> None:
    """Run `docker run sluice up`: embedded, everything in one container."""
    alone = Composed(image, folder / "alone", {})
    log = alone.folder / "up.log"
    with alone.started("up") as up:
        processes.wait_until_ready(up, lambda: "Press Ctrl-C" in log.read_text(), name="up", log=log, seconds=120)
        newcomer.sign_in(f"http://localhost:{alone.port}", *newcomer.credentials(log.read_text()))
        up.send_signal(signal.SIGINT)
        assert up.wait(40) == 0
    print("sluice up: started, signed in, ended")


class Composed:
    """Services of compose.yaml on an image, each a process with the image as its root."""

    def __init__(self, image: Image, folder: Path, surroundings: dict[str, str]) -> None:
        folder.mkdir(exist_ok=True)
        self.image, self.folder, self.port = image, folder, processes.free_port()
        composed = yaml.safe_load((ROOT / "compose.yaml").read_text())
        self.services: dict[str, Any] = composed["services"] | {"up": {"command": "up"}}
        # Where the servers are, and plain HTTP: the proxy is not there.
        self.places = {name: surroundings[name] for name in ("DATABASE_URL", "REDIS_URL") if surroundings}
        self.secrets = said([str(ROOT / ".venv/bin/python"), "-m", "sluice", "secrets"]).splitlines()
        self.volume = folder / "data"
        self.volume.mkdir()
        uid, gid = image.config["User"].split(":")
        os.chown(self.volume, int(uid), int(gid))

    def environment(self, service: str) -> dict[str, str]:
        """Return what a container of this service has in its environment."""
        given = self.image.environment | dict(line.split("=", 1) for line in self.secrets)
        given |= {"SLUICE_HOST": "localhost"}
        composed = self.services[service].get("environment", {})
        given |= {name: value.replace("${SLUICE_HOST:?}", "localhost") for name, value in composed.items()}
        given["SLUICE_TRUSTED_PROXIES"] = "127.0.0.2"
        plain = {"SECURE_SSL_REDIRECT": "false"} if self.places else {}
        if not self.places:
            given = {name: value for name, value in given.items() if not name.startswith(("DATABASE", "REDIS"))}
        return given | self.places | plain | {"PORT": str(self.port), "HOME": "/data"}

    def command(self, service: str, arguments: list[str]) -> tuple[list[str], dict[str, str]]:
        """Return how to run this in a container of the service, and the environment."""
        image, declared = self.image, self.services[service]
        if self.places:
            assert (declared["read_only"], declared["cap_drop"]) == (True, ["ALL"]), service
        uid, gid = image.config["User"].split(":")
        drop = ["setpriv", "--reuid", uid, "--regid", gid, "--clear-groups", "--no-new-privs", "--bounding-set=-all"]
        where = ["env", "--chdir", image.config["WorkingDir"], *arguments]
        mounts = {"WRITABLE": declared.get("tmpfs", "/tmp"), "VOLUME": str(self.volume)}  # noqa: S108 - the container's
        entering = ["unshare", "--mount", "env", *(f"{k}={v}" for k, v in mounts.items()), "sh", "-c", ENTER, "sh"]
        return [*entering, str(image.root), *drop, *where], self.environment(service)

    def enter(self, service: str, arguments: list[str]) -> str:
        """Run a program to its end, as `docker compose exec` does, and return what it prints."""
        command, environment = self.command(service, arguments)
        done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
        if done.returncode:
            raise newcomer.NotAsPromised(f"{arguments} ended with {done.returncode}: {done.stderr[-2000:]}")
        return done.stdout

    def passes(self, service: str, arguments: list[str]) -> bool:
        """Return whether a program ends with 0."""
        try:
            self.enter(service, arguments)
        except newcomer.NotAsPromised:
            return False
        return True

    def run(self, service: str, *arguments: str) -> str:
        """Run the service's own command, or this one, to its end."""
        return self.enter(service, [*self.image.config["Entrypoint"], *(arguments or self.of(service))])

    def of(self, service: str) -> list[str]:
        """Return the service's command."""
        return str(self.services[service]["command"]).split()

    @contextlib.contextmanager
    def started(self, service: str) -> Iterator[processes.Server]:
        """Run the service until the block ends."""
        command, environment = self.command(service, [*self.image.config["Entrypoint"], *self.of(service)])
        with (self.folder / f"{service}.log").open("wb") as log:
            process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            yield process
        finally:
            processes.end(process, signal.SIGTERM)


def files(root: Path) -> Iterator[Path]:
    """Yield what takes space in an image; what hard links share counts once."""
    seen = set()
    for path in root.rglob("*"):
        status = path.lstat()
        if (path.is_file() or path.is_symlink()) and (status.st_dev, status.st_ino) not in seen:
            seen.add((status.st_dev, status.st_ino))
            yield path


def said(command: list[str]) -> str:
    """Return what a program prints."""
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
