"""A disk that is small enough to be filled: where the agent keeps its spool, or where Postfix keeps its queue."""

import contextlib
import os
import pathlib
import subprocess
from collections.abc import Iterator

MEGABYTES, MEGABYTES_OF_STATE = 24, 200
# What a machine's folder has on the small disk, and what of that is on the large one all the same.
SMALL, LARGE = ("state", "policy"), ("state/postfix", "state/log")


class CannotBeMounted(Exception):
    """There can be no such disk here, and why."""


class SmallDisk:
    """A disk of some megabytes, mounted in a machine's folder."""

    def __init__(self, mounted: pathlib.Path) -> None:
        self._filler = mounted / "filler"

    def fill_but(self, room: int) -> None:
        """Leave so many bytes, or a little less."""
        self.free()
        found = os.statvfs(self._filler.parent)
        with self._filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, found.f_bavail * found.f_frsize - room)

    def fill(self) -> None:
        """Leave not a byte."""
        with self._filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            for size in (65536, 512, 1):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(b"\0" * size)

    def free(self) -> None:
        self._filler.unlink(missing_ok=True)


@contextlib.contextmanager
def small_disk(folder: pathlib.Path) -> Iterator[SmallDisk]:
    """Mount a small disk in a machine's folder, before the machine is made. Raises CannotBeMounted."""
    small, large = folder / "small", folder / "large"
    with contextlib.ExitStack() as stack:
        _mount_memory(stack, small, MEGABYTES)
        for root, names in ((small, SMALL), (large, LARGE)):
            for name in names:
                (root / name).mkdir(parents=True)
                (folder / name).mkdir(parents=True)
                _mount(stack, folder / name, "--bind", str(root / name))
        yield SmallDisk(small)


@contextlib.contextmanager
def small_state(folder: pathlib.Path) -> Iterator[SmallDisk]:
    """Mount a disk for all that a machine keeps: spool, queues and logs. Raises CannotBeMounted."""
    with contextlib.ExitStack() as stack:
        _mount_memory(stack, folder / "state", MEGABYTES_OF_STATE)
        yield SmallDisk(folder / "state")


def _mount_memory(stack: contextlib.ExitStack, on: pathlib.Path, megabytes: int) -> None:
    on.mkdir()
    _mount(stack, on, "-t", "tmpfs", "-o", f"size={megabytes}m,mode=755", "tmpfs")


def _mount(stack: contextlib.ExitStack, on: pathlib.Path, *what: str) -> None:
    done = subprocess.run(["mount", *what, str(on)], capture_output=True, text=True)
    if done.returncode:
        raise CannotBeMounted(f"a disk cannot be mounted here: {done.stderr.strip()}")
    stack.callback(subprocess.run, ["umount", "--lazy", str(on)], check=True)
