"""Small files that the agent's processes share: written atomically, and locked while their owner runs.

Python 3.9, standard library only.
"""

from __future__ import annotations

import fcntl
import json
import os


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


def replace(path, text, mode):
    """Replace a file by a rename, on the disk before it is seen."""
    descriptor = os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + ".new", path)
