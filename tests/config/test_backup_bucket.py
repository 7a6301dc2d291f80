"""Backups in S3-compatible storage: copied after they were restored once, read back, and restored from there."""

import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from config import backups, production
from config.backups import BackupFailed
from config.tasks import make_backup
from servers.models import Organization
from servers.provisioning import create_organization
from tests.cast import SYSTEM
from tests.s3_server import ACCESS_KEY, REGION, SECRET_KEY, S3Server

pytest.importorskip("obstore")
# The storage is a real server.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.server, pytest.mark.live]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def storage(settings, monkeypatch, tmp_path):
    with S3Server() as server:
        settings.SLUICE_BACKUP_FOLDER = str(tmp_path / "folder")
        settings.SLUICE_BACKUP_BUCKET = "s3://backups/panel one"
        settings.SLUICE_BACKUP_ENDPOINT, settings.SLUICE_BACKUP_REGION = server.endpoint, REGION
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        # Repetitions take seconds, and are the library's.
        monkeypatch.setattr("config.backup_bucket.RETRIES", 0)
        yield server


@pytest.fixture
def unverified(monkeypatch):
    """Restoring takes seconds; other tests are about it."""
    monkeypatch.setattr(backups, "verify", lambda path, *, folder: None)


def today():
    return f"sluice-{timezone.now():%Y-%m-%d}.jsonl.gz"


def earlier(folder, *days):
    folder.mkdir(exist_ok=True)
    for day in days:
        (folder / f"sluice-2026-11-{day}.jsonl.gz").write_bytes(day.encode())


@pytest.mark.storage
def test_it_works(storage, tmp_path):
    """Made, restored, copied, read back; then the machine is lost, and another one restores it from the bucket."""
    create_organization(at=timezone.now(), name="ACMÉ Inc", actor=SYSTEM)
    make_backup()
    key = f"panel one/{today()}"
    assert storage.objects == {key: (tmp_path / "folder" / today()).read_bytes()}
    assert storage.asked == ["GET ", f"PUT {key}", f"GET {key}"]
    call_command("flush", interactive=False, verbosity=0)
    call_command("restore", f"s3://backups/panel one/{today()}", stdout=StringIO())
    assert Organization.objects.get().name == "ACMÉ Inc"
    assert storage.faults == []


@pytest.mark.usefixtures("unverified")
def test_a_day_is_copied_once_and_what_was_not_taken_follows(storage, tmp_path):
    folder = tmp_path / "folder"
    earlier(folder, "20")
    storage.refuses = {"PUT"}
    with pytest.raises(BackupFailed, match=r"s3://backups/panel one does not take sluice-"):
        make_backup()
    assert storage.objects == {}
    # The backup in the folder is there all the same.
    assert (folder / today()).exists()
    storage.refuses = set()
    make_backup()
    assert {key.rpartition("/")[2] for key in storage.objects} == {today(), "sluice-2026-11-20.jsonl.gz"}
    storage.asked = []
    make_backup()
    assert storage.asked == ["GET "]


@pytest.mark.usefixtures("unverified")
def test_the_oldest_go_and_other_objects_stay(storage, settings, tmp_path):
    settings.SLUICE_BACKUP_BUCKET_KEEP = 2
    storage.objects = {f"panel one/sluice-2025-01-0{day}.jsonl.gz": b"x" for day in (1, 2, 3)}
    others = {"panel one/notes.txt": b"n", "panel two/sluice-2025-01-01.jsonl.gz": b"y"}
    storage.objects |= others
    make_backup()
    left = {f"panel one/{today()}", "panel one/sluice-2025-01-03.jsonl.gz"}
    assert set(storage.objects) == left | set(others)


@pytest.mark.usefixtures("unverified")
def test_a_bucket_that_deletes_nothing_keeps_it_and_the_backup_counts(storage, settings):
    settings.SLUICE_BACKUP_BUCKET_KEEP = 1
    storage.objects = {"panel one/sluice-2025-01-01.jsonl.gz": b"x"}
    storage.refuses = {"DELETE"}
    make_backup()
    assert len(storage.objects) == 2
    settings.SLUICE_BACKUP_BUCKET_KEEP = 0
    storage.asked = []
    make_backup()
    assert storage.asked == ["GET "]


@pytest.mark.usefixtures("unverified")
def test_what_comes_back_otherwise_does_not_count(storage):
    storage.spoil = lambda content: content[:-1]
    with pytest.raises(BackupFailed, match="gives back differs"):
        make_backup()
    assert storage.objects == {}


def test_large_ones_go_in_parts(storage, tmp_path, monkeypatch):
    from config import backup_bucket

    monkeypatch.setattr(backup_bucket, "PART", 5 * 1024 * 1024)
    path = tmp_path / "sluice-2026-11-21.jsonl.gz"
    path.write_bytes(bytes(range(256)) * 4096 * 12)
    backup_bucket.Bucket.configured().put(path)
    assert storage.objects == {f"panel one/{path.name}": path.read_bytes()}
    assert sum(each.startswith("PUT") for each in storage.asked) == 3
    assert storage.uploads == {}
    back = tmp_path / "back"
    backup_bucket.Bucket.configured().fetch(path.name, back)
    assert back.read_bytes() == path.read_bytes()


@pytest.mark.usefixtures("unverified")
@pytest.mark.parametrize(
    "change", [{"AWS_SECRET_ACCESS_KEY": "wrong"}, {"AWS_ACCESS_KEY_ID": "another"}], ids=["secret", "key"]
)
def test_wrong_credentials_are_told_without_them(storage, monkeypatch, change):
    for name, value in change.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(BackupFailed, match="cannot be listed") as failed:
        make_backup()
    assert SECRET_KEY not in str(failed.value)
    assert storage.objects == {}
    assert storage.faults


@pytest.mark.usefixtures("unverified")
def test_a_bucket_that_is_missing_or_away_is_told(storage, settings):
    settings.SLUICE_BACKUP_BUCKET = "s3://nowhere"
    with pytest.raises(BackupFailed, match="s3://nowhere cannot be listed"):
        make_backup()
    settings.SLUICE_BACKUP_ENDPOINT = "http://127.0.0.1:9"
    with pytest.raises(BackupFailed, match="s3://nowhere cannot be listed"):
        make_backup()


def test_restoring_what_is_not_there_says_so(storage):
    with pytest.raises(CommandError, match=r"s3://backups does not give sluice-2026-11-21\.jsonl\.gz"):
        call_command("restore", "s3://backups/sluice-2026-11-21.jsonl.gz")


def test_off_its_library_is_not_loaded(tmp_path):
    program = (
        "import os, django; os.environ['DJANGO_SETTINGS_MODULE'] = 'config.settings'; django.setup();"
        "import config.tasks, sys; config.tasks.make_backup(); print('obstore' in sys.modules)"
    )
    environment = {"SLUICE_DATA_DIR": str(tmp_path), "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"SLUICE_BACKUP_BUCKET": "backups"}, "SLUICE_BACKUP_BUCKET must be the address of a bucket"),
        ({"SLUICE_BACKUP_BUCKET": "s3:///prefix"}, "SLUICE_BACKUP_BUCKET must be the address of a bucket"),
        (
            {"SLUICE_BACKUP_BUCKET": "s3://b", "SLUICE_BACKUP_FOLDER": ""},
            "SLUICE_BACKUP_BUCKET needs SLUICE_BACKUP_FOLDER",
        ),
        (
            {"SLUICE_BACKUP_ENDPOINT": "minio:9000"},
            "SLUICE_BACKUP_ENDPOINT must be the address of an S3-compatible server",
        ),
    ],
)
def test_it_rejects(environment, sentence):
    [found] = production.refusals({"SLUICE_BACKUP_FOLDER": "/backups", **environment})
    assert found.startswith(sentence)


def test_it_rejects_an_installation_without_the_packages(monkeypatch):
    monkeypatch.setattr("config.production.importlib.util.find_spec", lambda name: None)
    [sentence] = production.refusals({"SLUICE_BACKUP_FOLDER": "/b", "SLUICE_BACKUP_BUCKET": "s3://b"})
    assert sentence.endswith("needs the packages of requirements/s3.txt: pip install 'sluice[s3]'.")


def test_it_takes_a_bucket_with_a_prefix():
    whole = {
        "SLUICE_BACKUP_FOLDER": "/b",
        "SLUICE_BACKUP_BUCKET": "s3://b/p/q",
        "SLUICE_BACKUP_ENDPOINT": "http://m:9000",
    }
    assert list(production.refusals(whole)) == []
