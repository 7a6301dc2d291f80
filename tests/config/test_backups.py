"""Scheduled backups: verified by restoring, one a day, the oldest deleted; one that cannot be restored does not count."""

import datetime
import gzip
import os
import time
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.utils import timezone

from config import backups, production
from config.backup import write_backup
from config.backups import BackupFailed, back_up
from config.celery import SCHEDULE
from config.tasks import make_backup
from core.audit import Actor
from servers.models import Organization
from servers.provisioning import create_organization, create_server
from stats.counts.fold import fold_all
from stats.intake.ingest import Reporter, ingest

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.live]
ACTOR = Actor.of_command("test")
NOON = datetime.datetime(2026, 11, 21, 12, tzinfo=datetime.UTC)


@pytest.fixture
def organization() -> Organization:
    """A tenant with a server, whose key is a secret, and with an event."""
    acme = create_organization(at=timezone.now(), name="ACMÉ Inc", actor=ACTOR)
    server = create_server(organization=acme, name="Mail", actor=ACTOR).server
    event = {
        "id": "m",
        "type": "sent",
        "at": time.time(),
        "server": str(server.uuid),
        "from": "a@a.example",
        "to": "b@b.example",
    }
    assert ingest([event], reporter=Reporter(), now=timezone.now()).accepted == 1
    fold_all(now=timezone.now())
    return acme


@pytest.mark.storage
def test_it_works(organization: Organization, tmp_path: Path) -> None:
    folder = tmp_path / "not there yet"
    made = back_up(folder=folder, keep=3, now=NOON)
    assert made is not None
    assert made.path == folder / "sluice-2026-11-21.jsonl.gz"
    assert [path.name for path in folder.iterdir()] == [made.path.name]
    assert made.path.stat().st_mode & 0o777 == 0o600
    assert made.rows > 10
    call_command("flush", interactive=False, verbosity=0)
    call_command("restore", str(made.path), stdout=StringIO())
    assert Organization.objects.get().name == "ACMÉ Inc"


@pytest.fixture
def unverified(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restoring takes seconds; other tests are about it."""
    monkeypatch.setattr(backups, "verify", lambda path, *, folder: None)


@pytest.mark.usefixtures("unverified")
def test_a_day_has_one_and_the_oldest_go(tmp_path: Path) -> None:
    other = tmp_path / "notes.txt"
    other.write_text("not a backup")
    for day in range(4):
        assert back_up(folder=tmp_path, keep=2, now=NOON + datetime.timedelta(days=day)) is not None
    assert back_up(folder=tmp_path, keep=2, now=NOON + datetime.timedelta(days=3, hours=5)) is None
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "notes.txt",
        "sluice-2026-11-23.jsonl.gz",
        "sluice-2026-11-24.jsonl.gz",
    ]


def written_then(change):
    """Return `write_backup`, with a change of what it wrote."""

    def write(path: Path, *, now: datetime.datetime) -> int:
        rows = write_backup(path, now=now)
        change(path)
        return rows

    return write


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def spell_times_otherwise(path: Path) -> None:
    """Change what is read back as the same, but never written so."""
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()).replace(b'+00:00"', b'Z"')))


@pytest.mark.parametrize(
    ("change", "reason"),
    [(cut_off, r"cannot be restored \(restore\): .*was cut off"), (spell_times_otherwise, "differs")],
)
def test_it_rejects_what_cannot_be_restored(organization, tmp_path, monkeypatch, change, reason) -> None:
    (tmp_path / "sluice-2026-11-21.jsonl.gz").write_bytes(b"the earlier one")
    monkeypatch.setattr(backups, "write_backup", written_then(change))
    with pytest.raises(BackupFailed, match=reason):
        back_up(folder=tmp_path, keep=1, now=NOON + datetime.timedelta(days=1))
    # The earlier one stays, and nothing else.
    assert [path.name for path in tmp_path.iterdir()] == ["sluice-2026-11-21.jsonl.gz"]


def test_it_rejects_secrets_that_no_key_opens(organization, tmp_path, settings) -> None:
    # The database was written with the other key.
    settings.SLUICE_ENCRYPTION_KEYS = ["AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="]
    with pytest.raises(
        BackupFailed, match=r"cannot be restored \(check\): .*no key of SLUICE_ENCRYPTION_KEYS decrypts"
    ):
        back_up(folder=tmp_path, keep=1, now=NOON)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("unverified")
def test_what_a_killed_process_left_goes_after_hours(tmp_path: Path) -> None:
    left, fresh = tmp_path / ".sluice-2026-11-20.jsonl.gz.unverified.part", tmp_path / ".verify-now"
    left.write_bytes(b"half")
    fresh.mkdir()
    past = time.time() - backups.ABANDONED - 60
    os.utime(left, (past, past))
    assert back_up(folder=tmp_path, keep=1, now=NOON) is not None
    assert sorted(path.name for path in tmp_path.iterdir()) == [".verify-now", "sluice-2026-11-21.jsonl.gz"]


@pytest.mark.usefixtures("unverified")
def test_the_task_makes_it_where_a_folder_is_set(settings, tmp_path) -> None:
    settings.SLUICE_BACKUP_FOLDER = ""
    make_backup()
    assert list(tmp_path.iterdir()) == []
    settings.SLUICE_BACKUP_FOLDER = str(tmp_path)
    make_backup()
    make_backup()
    assert [path.name for path in tmp_path.iterdir()] == [f"sluice-{timezone.now():%Y-%m-%d}.jsonl.gz"]
    assert "config.tasks.make_backup" in {task for _, task, _, _ in SCHEDULE}


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BackupFailed, match="The backup cannot be written: "):
        back_up(folder=tmp_path / "file" / "below", keep=1, now=NOON)


def test_it_rejects_a_folder_that_depends_on_where_a_worker_runs() -> None:
    [sentence] = production.refusals({"SLUICE_BACKUP_FOLDER": "backups"})
    assert (
        sentence == "SLUICE_BACKUP_FOLDER must be an absolute path, not backups: workers run in folders of their own."
    )
    assert list(production.refusals({"SLUICE_BACKUP_FOLDER": "/backups"})) == []
