"""Statistics in a PostgreSQL of their own: each event is counted once and told to each consumer once, whatever dies between."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.faults.client import Client, wait_until
from tests.faults.installation import ADDRESS, Installation, running
from tests.faults.work import some_events
from tools import panel, servers, standby

pytestmark = [pytest.mark.server, pytest.mark.live]

# Nobody listens there: deliveries are written, and wait.
WEBHOOK = (
    "from servers.models import Server, Webhook; "
    "Webhook.objects.create(server=Server.objects.get(name='Mail'), name='x', url='https://192.0.2.9/')"
)
# Of each request: messages that are announced, and one complaint.
SENT = 20
# Of all of them, so that what is sent again is the same.
MOMENT = time.time()
MESSAGES = "SELECT count(DISTINCT body::json -> 'payload' -> 'message' ->> 'id') FROM webhooks_delivery"
OPEN = "SELECT count(*) FROM stats_outboxentry WHERE done_at IS NULL"


@pytest.fixture(scope="module")
def apart() -> Iterator[Installation]:
    with servers.running(apart=True) as places, running(Path(places["SLUICE_DATA_DIR"]).parent, on=places) as whole:
        whole.sluice.manage("shell", "-c", WEBHOOK)
        yield whole


def one(session: "psycopg.Connection[Any]", query: str) -> int:
    row = session.execute(query).fetchone()
    assert row is not None
    return int(row[0])


def report(installation: Installation, name: str, client: Client | None = None) -> Any:
    """Report some messages and a complaint of a recipient of its own; return the answer, None where there was none."""
    events = some_events(installation, name, SENT, at=MOMENT)
    events.append({**events[0], "id": f"{name}-c", "type": "complaint", "to": f"{name}@example.net"})
    return (client or installation.client).postal("events", events)


def effects(installation: Installation) -> dict[str, int]:
    """Return what there is in either database of the events that were reported."""
    with installation.session() as session, installation.stats_session() as stats:
        return {
            "events": one(stats, "SELECT count(*) FROM stats_event"),
            "announced": one(session, "SELECT count(*) FROM webhooks_delivery"),
            "messages": one(session, MESSAGES),
            "suppressed": one(session, "SELECT count(*) FROM suppressions_suppression"),
            "attempts": one(session, "SELECT coalesce(sum(sent), 0) FROM stats_throttlebucket"),
            "open": one(stats, OPEN),
        }


def expected(requests: int) -> dict[str, int]:
    return {
        "events": requests * (SENT + 1),
        "announced": requests * SENT,
        "messages": requests * SENT,
        "suppressed": requests,
        "attempts": requests * SENT,
        "open": 0,
    }


def told(installation: Installation) -> int:
    """Return how many requests there were so far."""
    return effects(installation)["events"] // (SENT + 1)


def test_the_tables_are_where_they_belong(apart: Installation) -> None:
    tables = "SELECT count(*) FROM pg_tables WHERE tablename IN ('stats_event', 'stats_servercount', 'stats_batch')"
    with apart.session() as session, apart.stats_session() as stats:
        assert (one(session, tables), one(stats, tables)) == (0, 3)
        assert one(stats, "SELECT count(*) FROM pg_tables WHERE tablename ~ '^(servers|core|webhooks|panel)_'") == 0
    assert apart.client.readiness() == (200, dict.fromkeys(
        ("database", "statistics", "migrations", "broker", "disk", "counting"), "ok"))  # fmt: skip


def test_events_are_counted_announced_and_suppressed_once(apart: Installation) -> None:
    before = told(apart)
    for turn in (1, 2):
        answer = report(apart, "plain")
        assert answer.body["data"]["accepted" if turn == 1 else "duplicates"] == SENT + 1
    assert effects(apart) == expected(before + 1)
    folded = apart.sluice.manage_json("roll_up_stats")
    assert folded["events"] >= SENT + 1
    assert apart.sluice.manage_json("audit_stats")["differing"] == 0
    assert apart.sluice.manage_json("rebuild_stats") == {"rows": 0}
    today = time.strftime("%Y-%m-%dT00:00:00Z", time.gmtime())
    tomorrow = time.strftime("%Y-%m-%dT00:00:00Z", time.gmtime(time.time() + 86_400))
    read = apart.client.postal("servers/email-stats", {"start_date": today, "end_date": tomorrow})
    assert read is not None
    assert read.body["data"]["server"]["sent_emails"] == (before + 1) * SENT


@pytest.mark.parametrize("times", [2, pytest.param(30, marks=pytest.mark.long)])
def test_a_process_that_dies_between_the_commits_loses_nothing_and_repeats_nothing(
    apart: Installation, times: int
) -> None:
    """Killed before the consumers' commits, and before it is noted that they are done; senders repeat what had no answer."""
    before = told(apart)
    for turn in range(times):
        kill_between(apart, f"k{times}-{turn}", after_effects=bool(turn % 2))
    for turn in range(times):
        answer = report(apart, f"k{times}-{turn}")
        assert answer.body["data"]["duplicates"] == SENT + 1, answer.body
    worker, beat = apart.start_worker(), apart.start_beat()
    with apart.stats_session() as stats:
        wait_until(lambda: one(stats, OPEN) == 0, seconds=180, what="left batches are passed on")
        wait_until(
            lambda: one(stats, "SELECT count(*) FROM stats_batch WHERE folded_at IS NULL") == 0,
            seconds=30,
            what="counted",
        )
    for process in (beat, worker):
        process.terminate()
        process.wait(60)
    assert effects(apart) == expected(before + times)
    assert apart.sluice.manage_json("audit_stats")["differing"] == 0


def kill_between(apart: Installation, name: str, *, after_effects: bool) -> None:
    """Report events, and kill the web processes after the events' commit, or after the consumers' too."""
    client = Client(apart.client.url, apart.client.key)
    with apart.stats_session() as watching:
        left = one(watching, OPEN)
        with psycopg.connect(apart.database_url) as marks, psycopg.connect(stats_url(apart)) as outbox:
            marks.execute("LOCK TABLE stats_consumermark IN ACCESS EXCLUSIVE MODE")
            sender = threading.Thread(target=report, args=(apart, name, client))
            sender.start()
            wait_until(lambda: one(watching, OPEN) == left + 1, seconds=30, what="the events are stored")
            if after_effects:
                outbox.execute("LOCK TABLE stats_outboxentry IN EXCLUSIVE MODE")
                marks.commit()
                with apart.session() as session:
                    waiting = "SELECT count(*) FROM stats_consumermark WHERE entry_id = (%s)"
                    newest = watching.execute("SELECT max(id::text)::uuid FROM stats_outboxentry").fetchone()
                    wait_until(
                        lambda: session.execute(waiting, newest).fetchone() == (3,), seconds=30, what="consumers acted"
                    )
            for number in apart.web_workers():
                os.kill(number, signal.SIGKILL)
            sender.join(30)
            # What it had sent to a server and was not done is not done.
            for session in (watching, marks):
                session.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'sluice'"
                    " AND wait_event_type = 'Lock'"
                )
    assert client.broken, "the request was answered"
    wait_until(apart.client.is_ready, seconds=120, what="gunicorn has new processes")


def stats_url(apart: Installation) -> str:
    return apart.sluice.environment["STATS_DATABASE_URL"]


def test_without_the_statistics_configuration_goes_on_and_events_are_refused(apart: Installation) -> None:
    before = told(apart)
    apart.stop_statistics()
    try:
        client = apart.client
        wait_until(lambda: client.readiness()[1]["statistics"] != "ok", seconds=10, what="the probe tells")
        assert client.is_ready(), "processes without counts are of use"
        refused = report(apart, "away")
        assert refused.is_unavailable, refused.body
        created = client.postal("servers/create", {"organization_uuid": apart.organization, "name": "Without counts"})
        assert created is not None
        assert created.is_success, created.body
        listed = client.postal("servers/list", {"include_stats": False})
        assert listed is not None
        assert listed.is_success, listed.body
        answer = client.greenarrow("GET", f"ip_addresses/{ADDRESS}")
        assert answer is not None
        assert answer.status in (200, 404)
        counted = client.postal("servers/email-stats", {"start_date": "2026-01-01", "end_date": "2026-01-02"})
        assert counted is not None
        # As Postal's page has it; a count is never taken for none without a word.
        assert "error" in counted.body["data"]["server"], counted.body
        shown = client.postal("servers/show")
        assert shown is not None
        assert shown.is_unavailable, shown.body
        # A database that is away holds up nobody for long.
        assert counted.seconds < 3
    finally:
        apart.start_statistics()
    wait_until(lambda: client.readiness()[1]["statistics"] == "ok", seconds=30, what="it is there again")
    wait_until(lambda: (again := report(apart, "away")) is not None and again.is_success, seconds=30, what="accepted")
    assert effects(apart) == expected(before + 1)


def test_a_configuration_that_is_restored_older_is_brought_up(apart: Installation) -> None:
    """Its last minutes are lost: servers, marks and effects. Consumers act again, and no number is given twice."""
    before = effects(apart)
    with apart.session() as session:
        known = one(session, "SELECT max(id) FROM servers_server")
    created = apart.client.postal("servers/create", {"organization_uuid": apart.organization, "name": "Lost"})
    assert created is not None
    lost = {"Mail": apart.client.key, "Lost": created.body["data"]["server"]["api_key"]}
    for name, key in lost.items():
        client = Client(apart.client.url, key)
        # After an outage each process refuses for two seconds more.
        wait_until(partial(is_taken, apart, f"lost-{name}", client), seconds=30, what="accepted")
    assert effects(apart)["open"] == 0
    with apart.session() as session:
        # As a restore leaves it: rows, marks and sequences of a moment before.
        number = one(session, "SELECT id FROM servers_server WHERE name = 'Lost'")
        session.execute("DELETE FROM webhooks_delivery WHERE body LIKE '%lost-%'")
        session.execute("DELETE FROM suppressions_suppression WHERE event_id LIKE 'lost-%'")
        session.execute("DELETE FROM stats_consumermark WHERE entry_id IN (SELECT entry_id FROM stats_consumermark"
                        " ORDER BY entry_id DESC LIMIT 3)")  # fmt: skip
        session.execute("DELETE FROM servers_credential WHERE server_id = %s", [number])
        session.execute("DELETE FROM servers_server WHERE id = %s", [number])
        session.execute("SELECT setval(pg_get_serial_sequence('servers_server', 'id'), %s)", [known])
    found = apart.sluice.manage_json("reconcile_stats")
    assert found["numbers"] == {"servers_server": number}
    assert found["waiting"] == 0
    after = effects(apart)
    assert (after["announced"], after["suppressed"]) == (before["announced"] + SENT, before["suppressed"] + 1)
    assert apart.sluice.manage_json("reconcile_stats")["numbers"] == {}
    assert effects(apart) == after
    made = apart.client.postal("servers/create", {"organization_uuid": apart.organization, "name": "New"})
    assert made is not None
    with apart.session() as session:
        assert one(session, "SELECT id FROM servers_server WHERE name = 'New'") > number


def is_taken(apart: Installation, name: str, client: Client) -> bool:
    answer = report_own(apart, name, client)
    return answer is not None and answer.is_success


def report_own(apart: Installation, name: str, client: Client) -> Any:
    """Report as the server whose key the client has."""
    events = [{key: value for key, value in each.items() if key not in ("server", "ip")}
              for each in some_events(apart, name, SENT, at=MOMENT)]  # fmt: skip
    events.append({**events[0], "id": f"{name}-c", "type": "complaint", "to": f"{name}@example.net"})
    return client.postal("events", events)


def test_a_backup_of_both_is_restored_into_both(apart: Installation, tmp_path: Path) -> None:
    file = tmp_path / "backup.jsonl.gz"
    apart.sluice.manage("backup", str(file))
    with servers.running(apart=True) as places:
        restored(apart, places, file)
        with psycopg.connect(places["STATS_DATABASE_URL"]) as stats, apart.stats_session() as here:
            assert one(stats, "SELECT count(*) FROM stats_event") == one(here, "SELECT count(*) FROM stats_event")


def test_a_scheduled_backup_is_verified_in_one_database(apart: Installation, tmp_path: Path) -> None:
    """What was restored, into a single database, is what there is in both."""
    act = (
        "from pathlib import Path; from django.utils import timezone; from config.backups import back_up; "
        f"print('made', back_up(folder=Path({str(tmp_path)!r}), keep=1, now=timezone.now()).rows)"
    )
    assert "made" in apart.sluice.manage("shell", "--no-imports", "-c", act)
    assert len(list(tmp_path.glob("sluice-*.jsonl.gz"))) == 1


def restored(source: Installation, places: dict[str, str], file: Path) -> None:
    """Restore a backup into two new databases; nothing differs there, and nothing waits."""
    urls = {name: places[name] for name in ("DATABASE_URL", "STATS_DATABASE_URL")}
    environment = {**source.sluice.environment, **urls}
    panel.manage(environment, "migrate", "--verbosity", "0")
    panel.manage(environment, "restore", str(file))
    assert json.loads(panel.manage(environment, "reconcile_stats", "--json"))["waiting"] == 0
    assert json.loads(panel.manage(environment, "audit_stats", "--json"))["differing"] == 0


@pytest.mark.long
def test_one_database_becomes_two_by_a_backup_and_not_by_the_setting_alone(tmp_path: Path) -> None:
    with servers.running(apart=True) as places:
        urls = {name: places.pop(name) for name in ("STATS_DATABASE_URL",)}
        with running(Path(places["SLUICE_DATA_DIR"]).parent, on=places) as single:
            assert report(single, "single").is_success
            with single.session() as session:
                # In the transaction that stored the events: there is nothing to hand over.
                assert one(session, "SELECT count(*) FROM webhooks_delivery") == 0
                assert one(session, "SELECT count(*) FROM suppressions_suppression") == 1
                assert one(session, "SELECT count(*) FROM stats_outboxentry") == 0
                assert one(session, "SELECT count(*) FROM stats_consumermark") == 0
            single.sluice.manage("roll_up_stats")
            single.sluice.manage("backup", str(tmp_path / "one.jsonl.gz"))
            environment = {**single.sluice.environment, **urls}
            panel.manage(environment, "migrate", "--verbosity", "0")
            start = "import django; django.setup(); from config import checks; checks.refuse_unreadable_secrets()"
            refused = subprocess.run([sys.executable, "-c", start], cwd=panel.ROOT, check=False, capture_output=True,
                                     text=True, env={**environment, "DJANGO_SETTINGS_MODULE": "config.settings"})  # fmt: skip
            assert refused.returncode == 1
            assert "the statistics are in that of DATABASE_URL" in refused.stderr
            with servers.running(apart=True) as others:
                restored(single, others, tmp_path / "one.jsonl.gz")
                with psycopg.connect(others["STATS_DATABASE_URL"]) as stats:
                    assert one(stats, "SELECT count(*) FROM stats_event") == SENT + 1


@pytest.mark.long
def test_a_read_replica_of_the_configuration_works_beside_it() -> None:
    """Lists are read from the standby and counts from the statistics; that these are away is no fault of the standby."""
    with servers.running(apart=True) as places:
        folder = Path(places["SLUICE_DATA_DIR"]).parent
        with (
            standby.running(folder, places["DATABASE_URL"]) as second,
            running(folder, on={**places, "DATABASE_REPLICA_URL": second.url}) as installation,
        ):
            client = installation.client

            def reads() -> int:
                with psycopg.connect(second.url, autocommit=True) as session:
                    return one(session, "SELECT seq_tup_read + coalesce(idx_tup_fetch, 0) FROM pg_stat_user_tables"
                                        " WHERE relname = 'servers_server'")  # fmt: skip

            def is_read() -> bool:
                before = reads()
                listed = client.postal("servers/list")
                assert listed is not None
                assert listed.is_success, listed.body
                time.sleep(0.6)
                return reads() > before

            assert report(installation, "beside").is_success
            installation.sluice.manage("roll_up_stats")
            wait_until(is_read, seconds=40, what="the standby is read")
            shown = client.postal("servers/show")
            assert shown is not None
            assert shown.body["data"]["server"]["stats"]["messages_sent_today"] == SENT, shown.body
            installation.stop_statistics()
            away = client.postal("servers/show")
            assert away is not None
            assert away.is_unavailable, away.body
            assert "replica_left" not in installation.log_of("web")
            assert is_read()
