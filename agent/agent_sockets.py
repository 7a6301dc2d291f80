"""What both processes beside the agent share: one of a kind at a time, the sockets that they listen on, and when they end.

Each outlives an agent that is stopped or killed, and ends when none has come back for ten minutes, or when its program was
replaced: the agent starts the new one. Python 3.9, standard library only.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import socket
import stat
import sys
import time

from agent_files import is_locked, read_json

SECONDS_WITHOUT_AGENT = 600
SECONDS_BETWEEN_LOOKS = 0.5
SECONDS_TO_LISTEN = 30.0
LONGEST_LINE = 16384


def alone(state, lock, serve):
    """Run `serve(state)`, unless another process does and holds the lock."""
    with open(os.path.join(state, lock), "a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        asyncio.run(serve(state))


async def listen_on(state, wanted, speaker_of, looked=None):
    """Listen on the sockets that the agent wrote into the file `wanted`, as long as this process should.

    `speaker_of(name)` returns what speaks on a socket of that name; `looked` is called at each look at the file.
    """
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    listening, program = {}, _program()
    seen_at = time.monotonic()
    while not ended.is_set():
        paths = read_json(os.path.join(state, wanted)) or []
        for path in list(listening):
            if path not in paths or not is_ours(path, listening[path][1]):
                listening.pop(path)[0].close()
        for path in paths:
            if path not in listening:
                with contextlib.suppress(OSError):
                    listening[path] = await listen(speaker_of(os.path.basename(path)), path)
        if looked:
            looked()
        if is_locked(os.path.join(state, "agent.lock")):
            seen_at = time.monotonic()
            if _program() != program:
                return
        elif time.monotonic() - seen_at > SECONDS_WITHOUT_AGENT:
            return
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(ended.wait(), SECONDS_BETWEEN_LOOKS)


def _program():
    """Return what changes when the program's file is replaced; None while it is away."""
    try:
        stat = os.stat(sys.argv[0])
    except OSError:
        return None
    return stat.st_ino, stat.st_mtime_ns


def answers(path):
    """Tell whether a process listens on a socket; the file may be there without one, as after a reboot."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
        return True


def wait_for(paths):
    """Wait, but not for ever, until every socket is listened on.

    Postfix's submission service ends without the one for log-ins, and is not started again for a minute.
    """
    deadline = time.monotonic() + SECONDS_TO_LISTEN
    while not all(map(answers, paths)) and time.monotonic() < deadline:
        time.sleep(0.05)


def is_ours(path, inode):
    """Tell whether a socket is still the one that was made."""
    try:
        return os.stat(path).st_ino == inode
    except OSError:
        return False


async def listen(speaker, path):
    """Listen on a socket, and return (what listens, its inode). It appears at once, by renaming."""
    beside = path + ".new"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(beside)
    bound = socket.socket(socket.AF_UNIX)
    # Postfix's folder (`private`) is its alone; that of Haraka's plug-in others may enter.
    mask = os.umask(0o117)
    try:
        bound.bind(beside)
    finally:
        os.umask(mask)
    found = await asyncio.start_unix_server(speaker, sock=bound, limit=LONGEST_LINE)
    try:
        if os.geteuid() == 0:
            _give(beside, os.stat(os.path.dirname(path)))
        os.replace(beside, path)
    except OSError:
        found.close()
        raise
    return found, os.stat(path).st_ino


def _give(path, folder):
    """Give the socket to its folder's owner, who may put a link or another's file in its place at any moment."""
    descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW)
    try:
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            raise OSError(f"{path} is not the socket that was made")
        os.chown(f"/proc/self/fd/{descriptor}", folder.st_uid, folder.st_gid)
    finally:
        os.close(descriptor)
