"""Small files that the agent's processes share: written atomically, and locked while their owner runs.

Python 3.9, standard library only.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat


def is_locked(path):
    """Tell whether a process that lives holds the file."""
    try:
        with open(path, "r+", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return True
            return False
    except OSError:
        return False


def read_json(path):
    """Return what a file of JSON holds; None: it is not there, or not JSON."""
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return None


def replace(path, text, mode, owner=None):
    """Replace a file by a rename, on the disk before it is seen; `owner` is (user, group) by number."""
    with create(path + ".new", mode, owner) as file:
        file.write(text.encode("utf-8"))
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + ".new", path)


def create(path, mode, owner=None):
    """Return a new file, opened for writing bytes, in the place of what is there.

    Never what a link leads to: in a folder of the MTA's user, that user chooses what is there, and the agent is root.
    """
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    if owner is not None and os.geteuid() == 0:
        os.fchown(descriptor, *owner)
    return os.fdopen(descriptor, "wb")


def opened(path):
    """Return a file of the MTA's user, opened for reading bytes. Raises OSError for a link or a pipe, as well."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"{path} is not a file")
    return os.fdopen(descriptor, "rb")
