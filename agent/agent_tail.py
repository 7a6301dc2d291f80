"""Follows a log file through rotation and compression.

A file is known by its first line: a rotation changes its name, compression its inode, and the next file may have the inode of
the one that was deleted; so nothing is remembered by inode.
Python 3.9, standard library only.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import os
import shutil
import stat
import time
import zlib

from agent_files import create, opened

LONGEST_LINE = 1 << 20
# A rotated file may still be written to by a daemon that has it open.
SECONDS_OF_GRACE = 1.5


def mark_of(path):
    """Return what a file is known by; None: it has no whole line yet, or cannot be read now."""
    try:
        with _opened(path) as file:
            first = file.readline(LONGEST_LINE)
    except (OSError, EOFError, zlib.error):
        return None
    return hashlib.sha256(first).hexdigest() if first.endswith(b"\n") else None


def generations(log):
    """Return every file of a log, oldest first, the live one last."""
    folder, base = os.path.split(log)
    try:
        names = [name for name in os.listdir(folder) if name.startswith(base + ".")]
    except FileNotFoundError:
        return []
    # While one is being compressed there are both: the whole one is read.
    names = [name for name in names if not name.endswith(".new") and not (name.endswith(".gz") and name[:-3] in names)]
    found = []
    for name in names:
        path = os.path.join(folder, name)
        try:
            found.append((os.stat(path).st_mtime_ns, path))
        except FileNotFoundError:
            continue
    return [path for _, path in sorted(found)] + ([log] if os.path.exists(log) else [])


class Tail:
    """Reads a log from a place (mark, offset) on; `place` is where the next line starts."""

    def __init__(self, log, place=None):
        self.log, self.place = log, place
        self.lost = 0
        self._file = None
        self._quiet_since = None

    def close(self):
        """Close the open file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def lines(self, most):
        """Return up to so many whole lines, and the place after them; the caller calls `went(place)` once they are kept."""
        if self._file is None and not self._open():
            return [], self.place
        taken, offset = self._read(most)
        following = None if taken else self._following()
        if following is not None:
            self.close()
            self.place = (following, 0)
            # Else it comes with the next call, from this place.
            taken, offset = self._read(most) if self._open() else ([], 0)
        return taken, (self.place[0], offset) if self.place else None

    def advance(self, place):
        """Continue from this position with the next call."""
        self.place = place

    def rewind(self):
        """Read from the last position again, because the lines could not be stored."""
        self.close()

    def forget_read(self, kept):
        """Delete files that were read to their end, but for the newest so many, which are compressed."""
        found = generations(self.log)
        marks = [mark_of(path) for path in found]
        if self.place is not None and self.place[0] in marks:
            read = found[: marks.index(self.place[0])]
            for path in read[: max(0, len(read) - kept)]:
                os.unlink(path)
            for path in read[max(0, len(read) - kept) :]:
                if not path.endswith(".gz") and not is_written(path):
                    compress(path)

    def _read(self, most):
        taken, offset = [], self.place[1]
        try:
            self._file.seek(offset)
            while len(taken) < most:
                line = self._file.readline(LONGEST_LINE)
                if not line.endswith(b"\n") and len(line) < LONGEST_LINE:
                    break
                taken.append(line)
                offset += len(line)
        except (OSError, EOFError, zlib.error):
            # Compressed under our hands: what came before the end is whole, the rest is looked for again.
            self.close()
        return taken, offset

    def _open(self):
        if self.place is None:
            for path in generations(self.log):
                mark = mark_of(path)
                if mark:
                    self.place = (mark, 0)
                    break
            else:
                return False
        path = self._find(self.place[0])
        if path is None:
            marks = [mark for mark in map(mark_of, generations(self.log)) if mark]
            if not marks:
                return False
            # The file was deleted before it was read to its end. What is read twice has the same ids.
            self.lost += 1
            self.place = (marks[0], 0)
            path = self._find(marks[0])
            if path is None:
                return False
        try:
            self._file = _opened(path)
        except OSError:
            return False
        self._quiet_since = None
        return True

    def _find(self, mark):
        for path in generations(self.log):
            if mark_of(path) == mark:
                return path
        return None

    def _following(self):
        """Return the mark of the next file, where there is one and nothing was added to this one for a moment."""
        if self._file is None or mark_of(self.log) == self.place[0]:
            self._quiet_since = None
            return None
        now = time.monotonic()
        if self._quiet_since is None:
            self._quiet_since = now
        if now - self._quiet_since < SECONDS_OF_GRACE:
            return None
        path = self._find(self.place[0])
        if path is not None and is_written(path):
            return None
        # The next one may be rotated, too, and the live one not begun yet.
        marks = [mark for mark in map(mark_of, generations(self.log)) if mark]
        if self.place[0] not in marks:
            return marks[0] if marks else None
        later = marks[marks.index(self.place[0]) + 1 :]
        return next((mark for mark in later if mark != self.place[0]), None)


def is_written(path):
    """Tell whether Postfix's daemon that writes logs has a rotated file open: on a busy machine it learns late to leave it."""
    try:
        file = os.stat(path)
    except OSError:
        return False
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        # Processes end while they are looked at.
        with contextlib.suppress(OSError):
            with open(f"/proc/{name}/comm", encoding="utf-8") as comm:
                if comm.read().strip() != "postlogd":
                    continue
            for descriptor in os.listdir(f"/proc/{name}/fd"):
                if os.path.samestat(os.stat(f"/proc/{name}/fd/{descriptor}"), file):
                    return True
    return False


def compress(path):
    """Compress a file that nobody writes to; its time stays, by which files of a log are ordered."""
    with opened(path) as plain:
        found = os.fstat(plain.fileno())
        # Read by whom the log is read, and by nobody else.
        owner = found.st_uid, found.st_gid
        with create(path + ".new", stat.S_IMODE(found.st_mode), owner) as file:
            with gzip.GzipFile(fileobj=file, mode="wb") as packed:
                shutil.copyfileobj(plain, packed)
            file.flush()
            os.utime(file.fileno(), ns=(found.st_atime_ns, found.st_mtime_ns))
    os.replace(path + ".new", path + ".gz")
    os.unlink(path)


def _opened(path):
    file = opened(path)
    if not path.endswith(".gz"):
        return file
    packed = gzip.GzipFile(fileobj=file, mode="rb")
    # Closed with it.
    packed.myfileobj = file
    return packed
