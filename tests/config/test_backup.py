"""`backup` and `restore`: what comes back is what was there, on either database."""

import gzip
import os
import subprocess
import sys
from io import StringIO

import orjson
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from config.backup import _line
from core.audit import Actor
from core.models import AuditEntry, User
from nodes.models import PolicyText
from nodes.nodes import create_node
from nodes.publishing import publish
from servers.models import Organization
from servers.pools import create_pool
from servers.provisioning import create_organization, create_server, delete_server
from stats.counts.fold import fold_all
from stats.intake.ingest import Reporter, ingest
from tests.races import at_once

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.storage, pytest.mark.live]
ACTOR = Actor.of_command("test")


@pytest.fixture
def panel():
    """A panel with something in most tables."""
    User.objects.create_superuser("operator", "operator@example.com", "correct horse battery")
    organization = create_organization(at=timezone.now(), name="ACMÉ Inc", actor=ACTOR)
    pool = create_pool(organization=organization, name="Apple", ips=["192.0.2.1", "192.0.2.2"], actor=ACTOR).pool
    server = create_server(organization=organization, name="Mail", pool=pool, actor=ACTOR).server
    gone = create_server(organization=organization, name="Gone", actor=ACTOR).server
    delete_server(server=gone, at=timezone.now(), actor=ACTOR)
    now = timezone.now()
    events = [
        {"id": f"m{n}", "type": "sent", "at": now.timestamp() - 86_400 * (n % 3), "server": str(server.uuid),
         "ip": "192.0.2.1", "from": "news@acme.example", "to": "a@gmail.com"}
        for n in range(30)
    ]  # fmt: skip
    receipt = ingest(events, reporter=Reporter(), now=now)
    assert (receipt.accepted, receipt.refused) == (30, [])
    fold_all(now=now)
    # The one thing that is bytes: the policy of a node.
    create_node(name="mta-1", kind="postfix", addresses=["192.0.2.1"], actor=ACTOR)
    publish(actor=ACTOR, now=now)


def lines_of(path):
    head, *rest = gzip.decompress(path.read_bytes()).splitlines()
    return orjson.loads(head)["migrations"], rest


def empty_database():
    call_command("flush", interactive=False, verbosity=0)


def test_it_works(panel, tmp_path):
    first, second = tmp_path / "first.gz", tmp_path / "second.gz"
    call_command("backup", str(first), stdout=StringIO())
    assert first.stat().st_mode & 0o777 == 0o600
    empty_database()
    said = StringIO()
    call_command("restore", str(first), stdout=said)
    tables, (tail,) = lines_of(first)[1][:-1], lines_of(first)[1][-1:]
    rows = sum(line.startswith(b"[") for line in tables)
    assert orjson.loads(tail) == {"rows": rows}
    assert said.getvalue() == f"Restored {rows:,} rows from {first}.\n"
    call_command("backup", str(second), stdout=StringIO())
    assert lines_of(second) == lines_of(first)


def test_what_a_node_fetches_is_read_after_a_restore(panel, tmp_path):
    before = {each.digest: bytes(each.body) for each in PolicyText.objects.all()}
    call_command("backup", str(tmp_path / "panel.gz"), stdout=StringIO())
    empty_database()
    call_command("restore", str(tmp_path / "panel.gz"), stdout=StringIO())
    after = {each.digest: bytes(each.body) for each in PolicyText.objects.all()}
    assert before
    assert after == before


def test_a_value_that_no_field_would_read_again_is_never_written():
    """The text that Python has for it would be accepted here and be missed at the restore."""
    with pytest.raises(TypeError, match="not JSON serializable: range"):
        _line([1, range(3)])


def test_ids_go_on_after_the_restored_ones(panel, tmp_path):
    call_command("backup", str(tmp_path / "panel.gz"), stdout=StringIO())
    latest = AuditEntry.objects.latest("id").pk
    empty_database()
    call_command("restore", str(tmp_path / "panel.gz"), stdout=StringIO())
    create_organization(at=timezone.now(), name="Another", actor=ACTOR)
    assert AuditEntry.objects.latest("id").pk == latest + 1


def test_a_panel_on_sqlite_takes_it_over(panel, tmp_path):
    """What PostgreSQL wrote, a bare SQLite holds to the last row."""
    call_command("backup", str(tmp_path / "first.gz"), stdout=StringIO())
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in {"DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE"}
    }
    environment |= {
        "SLUICE_DATA_DIR": str(tmp_path / "var"),
        "SLUICE_ENCRYPTION_KEYS": ",".join(settings.SLUICE_ENCRYPTION_KEYS),
    }

    def manage(*arguments):
        subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=settings.BASE_DIR, env=environment, check=True, stdout=subprocess.DEVNULL, timeout=60,
        )  # fmt: skip

    manage("migrate", "-v0")
    manage("restore", str(tmp_path / "first.gz"))
    manage("backup", str(tmp_path / "second.gz"))
    assert lines_of(tmp_path / "second.gz") == lines_of(tmp_path / "first.gz")


def test_it_refuses_a_database_that_holds_something(panel, tmp_path):
    call_command("backup", str(tmp_path / "panel.gz"), stdout=StringIO())
    with pytest.raises(CommandError, match=r"^The database is not empty \(it has .*organizations.*\)"):
        call_command("restore", str(tmp_path / "panel.gz"))
    assert Organization.objects.count() == 1


def test_of_two_restores_at_once_the_second_finds_what_the_first_restored(panel, tmp_path):
    file = tmp_path / "panel.gz"
    call_command("backup", str(file), stdout=StringIO())
    empty_database()
    did = at_once(*[lambda: call_command("restore", str(file), stdout=StringIO())] * 2)
    [refusal] = [each for each in did if each is not None]
    assert isinstance(refusal, CommandError)
    assert str(refusal).startswith("The database is not empty")
    assert Organization.objects.count() == 1


@pytest.mark.parametrize("kept", [20, 2_000, -30])
def test_a_file_that_was_cut_off_changes_nothing(panel, tmp_path, kept):
    path = tmp_path / "panel.gz"
    call_command("backup", str(path), stdout=StringIO())
    path.write_bytes(path.read_bytes()[:kept])
    empty_database()
    with pytest.raises(CommandError, match="not a backup of Sluice, or was cut off"):
        call_command("restore", str(path))
    assert not Organization.objects.exists()


@pytest.mark.parametrize("at", [0.3, 0.6, 0.9])
def test_a_file_with_wrong_bytes_changes_nothing(panel, tmp_path, at):
    path = tmp_path / "panel.gz"
    call_command("backup", str(path), stdout=StringIO())
    damaged = bytearray(path.read_bytes())
    first = int(len(damaged) * at)
    damaged[first : first + 40] = bytes(255 - each for each in damaged[first : first + 40])
    path.write_bytes(damaged)
    empty_database()
    with pytest.raises(CommandError, match=r"not a backup of Sluice, or was cut off|is damaged"):
        call_command("restore", str(path))
    assert not Organization.objects.exists()


@pytest.mark.parametrize(
    "line",
    [
        b"5",
        b"null",
        b'{"table": "core.User"}',
        b'{"table": "core.Nobody", "columns": [], "count": 0}',
        b'{"table": "core.User", "columns": ["nobody"], "count": 1}\n[1]',
        b'{"table": "core.User", "columns": ["id"], "count": 1}\n[1, 2]',
        b'{"table": "core.User", "columns": ["id"], "count": 1}\n["x"]',
        b'{"table": "core.User", "columns": ["id", "username"], "count": 1}\n[1, null]',
        b'{"table": "core.Job", "columns": ["id", "user_id"], "count": 1}\n[1, 99]',
    ],
)
def test_a_line_that_no_backup_has_is_refused_in_a_sentence(panel, tmp_path, line):
    path = tmp_path / "panel.gz"
    call_command("backup", str(path), stdout=StringIO())
    head = gzip.decompress(path.read_bytes()).splitlines()[0]
    path.write_bytes(gzip.compress(b"\n".join([head, line, b'{"rows": 1}', b""])))
    empty_database()
    with pytest.raises(CommandError, match=r"is damaged|was cut off"):
        call_command("restore", str(path))
    assert not User.objects.exists()


def test_lines_that_are_missing_are_noticed(panel, tmp_path):
    path = tmp_path / "panel.gz"
    call_command("backup", str(path), stdout=StringIO())
    lines = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
    path.write_bytes(gzip.compress(b"".join(lines[:-1])))
    empty_database()
    with pytest.raises(CommandError, match="was cut off"):
        call_command("restore", str(path))
    assert not Organization.objects.exists()


def test_it_refuses_another_version(panel, tmp_path):
    path = tmp_path / "panel.gz"
    call_command("backup", str(path), stdout=StringIO())
    head, *rest = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
    parsed = orjson.loads(head)
    parsed["migrations"].append(["servers", "9999_of_tomorrow"])
    path.write_bytes(gzip.compress(orjson.dumps(parsed) + b"\n" + b"".join(rest)))
    empty_database()
    with pytest.raises(CommandError, match=r"another version of Sluice.*servers\.9999_of_tomorrow$"):
        call_command("restore", str(path))


def test_it_refuses_what_is_no_backup(tmp_path):
    (tmp_path / "text.gz").write_bytes(gzip.compress(b'{"some": "json"}\n'))
    with pytest.raises(CommandError, match="not a backup of Sluice"):
        call_command("restore", str(tmp_path / "text.gz"))
    with pytest.raises(CommandError, match=r"^The file .* does not exist"):
        call_command("restore", str(tmp_path / "absent.gz"))


def test_it_replaces_no_link_that_leads_nowhere(tmp_path):
    link = tmp_path / "panel.gz"
    link.symlink_to(tmp_path / "not mounted" / "panel.gz")
    with pytest.raises(CommandError, match="already exists"):
        call_command("backup", str(link))
    assert link.is_symlink()


def test_it_does_not_overwrite(tmp_path):
    path = tmp_path / "panel.gz"
    path.write_bytes(b"precious")
    with pytest.raises(CommandError, match="already exists"):
        call_command("backup", str(path))
    assert path.read_bytes() == b"precious"
    assert connection.in_atomic_block is False
