"""Build the image and use it as compose.yaml does, without a container engine: `python -m tools.check_image` (root).

buildah does the Dockerfile's steps. Where no registry gives the base image, a Debian of the same release with its own Python
takes its place (debootstrap), in the same name; the closing lines say so. Each process then runs as a container would: the
image as a read-only root, tmpfs and volumes where compose.yaml has them, the image's user without capabilities, compose.yaml's
command and environment. PostgreSQL and Valkey are those of the tests. What a container engine adds is not tried: its network,
its restarts, its limits, and the other images of compose.yaml.
"""

import argparse
import contextlib
import os
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

from tools import images, newcomer, processes, servers
from tools.images import ROOT

# Bytes of the whole image, unpacked.
LARGEST = 250 * 1000**2
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


# Variables of the extras, without whose packages Sluice does not start. Nothing answers there, and nothing has to.
EXTRAS = {
    "otlp": {"SLUICE_OTLP_ENDPOINT": "http://127.0.0.1:9"},
    "oidc": {"SLUICE_OIDC_ISSUER": "https://127.0.0.1:9", "SLUICE_OIDC_CLIENT_ID": "sluice"},
    "s3": {"SLUICE_BACKUP_BUCKET": "s3://none/sluice", "SLUICE_BACKUP_ENDPOINT": "https://127.0.0.1:9"},
}


def main(arguments: list[str]) -> int:
    """Build and try the image; the status is 1 where something is not as promised."""
    parser = argparse.ArgumentParser(prog="python -m tools.check_image")
    parser.add_argument("--extras", nargs="+", default=[], choices=EXTRAS, help="what the image has besides")
    extras = parser.parse_args(arguments).extras
    missing = images.missing()
    if os.geteuid() != 0 or missing:
        sys.exit(
            f"The check of the image needs root and Debian's buildah, debootstrap and util-linux; missing: {missing}"
        )
    lint()
    with (
        built(" ".join(extras) or "base") as image,
        servers.ended_by_signals(),
        tempfile.TemporaryDirectory(prefix="sluice-image-") as name,
    ):
        size = sum(path.lstat().st_size for path in files(image.root))
        print(f"{size / 1000**2:.0f} MB unpacked, {image.base}{', with ' if extras else ''}{', '.join(extras)}")
        if size > LARGEST and not extras:
            raise newcomer.NotAsPromised(f"the image has {size} bytes, more than {LARGEST}")
        with servers.running() as surroundings:
            more = {name: value for extra in extras for name, value in EXTRAS[extra].items()}
            try_services(image, Path(name), surroundings, more)
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
def built(requirements: str) -> Iterator[Image]:
    """Yield the image of the Dockerfile, unpacked."""
    base, what = images.provide_base()
    arguments = [f"BASE={base}", f"REQUIREMENTS={requirements}"]
    images.build("sluice", ROOT, *(word for each in arguments for word in ("--build-arg", each)))
    with images.unpacked("localhost/sluice") as (root, config):
        yield Image(root, config, what)


def try_services(image: Image, folder: Path, surroundings: dict[str, str], more: dict[str, str]) -> None:
    """Run migrate, web, worker and beat of compose.yaml; sign in, count an event, end them."""
    composed = Composed(image, folder, surroundings, more)
    composed.run("migrate")
    greeting = composed.run("web", "first_operator")
    with contextlib.ExitStack() as stack:
        started = {name: stack.enter_context(composed.started(name)) for name in ("web", "worker", "beat")}
        url = f"http://localhost:{composed.port}"
        healthcheck = [*composed.services["web"]["healthcheck"]["test"]]
        # Another port, since the machine's network is the container's.
        healthcheck[-1] = healthcheck[-1].replace("8000", str(composed.port))
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
    alone = Composed(image, folder / "alone", {}, {})
    log = alone.folder / "up.log"
    with alone.started("up") as up:
        processes.wait_until_ready(up, lambda: "Press Ctrl-C" in log.read_text(), name="up", log=log, seconds=120)
        newcomer.sign_in(f"http://localhost:{alone.port}", *newcomer.credentials(log.read_text()))
        up.send_signal(signal.SIGINT)
        assert up.wait(40) == 0
    print("sluice up: started, signed in, ended")


class Composed:
    """Services of compose.yaml on an image, each a process with the image as its root."""

    def __init__(self, image: Image, folder: Path, surroundings: dict[str, str], more: dict[str, str]) -> None:
        folder.mkdir(exist_ok=True)
        self.more = more
        self.image, self.folder, self.port = image, folder, processes.free_port()
        composed = yaml.safe_load((ROOT / "compose.yaml").read_text())
        self.services: dict[str, Any] = composed["services"] | {"up": {"command": "up"}}
        # Where the servers are, and plain HTTP: the proxy is not there.
        self.places = {name: surroundings[name] for name in ("DATABASE_URL", "REDIS_URL") if surroundings}
        self.secrets = images.said([str(ROOT / ".venv/bin/python"), "-m", "sluice", "secrets"]).splitlines()
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
        return given | self.places | plain | self.more | {"PORT": str(self.port), "HOME": "/data"}

    def command(self, service: str, arguments: list[str]) -> tuple[list[str], dict[str, str]]:
        """Return how to run this in a container of the service, and the environment."""
        image, declared = self.image, self.services[service]
        if self.places:
            assert (declared["read_only"], declared["cap_drop"]) == (True, ["ALL"]), service
        uid, gid = image.config["User"].split(":")
        drop = ["setpriv", "--reuid", uid, "--regid", gid, "--clear-groups", "--no-new-privs", "--bounding-set=-all"]
        where = ["env", "--chdir", image.config["WorkingDir"], *arguments]
        # /data outlives a process here.
        mounts = {"WRITABLE": "/tmp", "VOLUME": str(self.volume)}  # noqa: S108 - the container's
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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
