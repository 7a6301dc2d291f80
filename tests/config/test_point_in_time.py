"""Point-in-time recovery as docs/operations.md describes it: a copy, the archived log, and a moment before the mistake."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from cryptography.fernet import Fernet

from tests.stats.faults.servers import PRODUCTION
from tools import panel, postgresql, processes

pytestmark = [pytest.mark.server, pytest.mark.live]


def organizations(url: str) -> set[str]:
    with psycopg.connect(url) as session:
        return {name for (name,) in session.execute("SELECT name FROM servers_organization")}


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that the database's user can enter; pytest's are for its own user."""
    with tempfile.TemporaryDirectory(prefix="sluice-point-in-time-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


def test_a_cluster_is_restored_as_of_a_moment(place: Path) -> None:
    user, folder, archive = processes.lesser_user(), place / "first", place / "archive"
    for each in (folder, archive):
        each.mkdir()
        if user is not None:
            os.chown(each, user.pw_uid, user.pw_gid)
    archiving = ["archive_mode=on", f"archive_command=test ! -f {archive}/%f && cp %p {archive}/%f"]
    with postgresql.running(folder, settings=[*postgresql.FAST, *archiving]) as url:
        address = urlsplit(url)
        plain = {name: value for name, value in os.environ.items() if name not in PRODUCTION}
        sluice = {
            **plain,
            "DATABASE_URL": url,
            "REDIS_URL": "redis://127.0.0.1:1/0",
            "SECRET_KEY": "Vb2nq8Zr5tXw0yLkHs7cPd4fGj1mQa9uEoIiRvTxYzNhBgCwDk",
            "SLUICE_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
            "ALLOWED_HOSTS": "localhost",
            "SLUICE_DATA_DIR": str(place / "var"),
        }
        panel.manage(sluice, "migrate", "--verbosity", "0")
        binaries, copy = postgresql.programs(user, folder), place / "copy"
        where = f"host=127.0.0.1 port={address.port} user={address.username}"
        subprocess.run(
            [str(binaries / "pg_basebackup"), "--pgdata", str(copy), "--dbname", where, "--checkpoint", "fast"],
            env={**plain, "PGPASSWORD": address.password or ""},
            check=True,
        )
        panel.manage(sluice, "create_organization", "Before", "--json")
        with psycopg.connect(url, autocommit=True) as session:
            [(moment,)] = session.execute("SELECT now()")
            time.sleep(1)
            session.execute("UPDATE servers_organization SET name = 'Overwritten'")
            assert organizations(url) == {"Overwritten"}
            [(last,)] = session.execute("SELECT pg_walfile_name(pg_switch_wal())")
            deadline = time.monotonic() + 60
            while not (archive / last).exists():
                assert time.monotonic() < deadline, "the log is not archived"
                time.sleep(0.1)
    shutil.rmtree(folder)
    with (copy / "postgresql.auto.conf").open("a") as settings:
        settings.write(f"restore_command = 'cp {archive}/%f %p'\n")
        settings.write(f"recovery_target_time = '{moment.isoformat()}'\nrecovery_target_action = 'promote'\n")
    (copy / "recovery.signal").touch()
    for path in (copy, *copy.rglob("*")):
        if user is not None:
            os.chown(path, user.pw_uid, user.pw_gid)
    copy.chmod(0o700)
    server, port = postgresql.started(binaries, copy, place / "restored.log", user, postgresql.FAST)
    try:
        restored = f"postgres://{address.username}:{address.password}@127.0.0.1:{port}/postgres"
        assert organizations(restored) == {"Before"}
        # Every secret can be read, every count is right, and it takes writes.
        there = {**sluice, "DATABASE_URL": restored}
        panel.manage(there, "check", "--database", "default")
        panel.manage(there, "audit_stats")
        panel.manage(there, "create_organization", "Afterwards", "--json")
    finally:
        processes.end(server, signal.SIGINT)
