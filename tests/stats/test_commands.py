"""The commands of the statistics, as an operator runs them."""

import bz2
import gzip
import io
import json
import lzma
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.db.models import F
from django.utils import timezone

from core.models import AuditEntry
from stats.counts.buckets import Grain
from stats.intake import event_sources
from stats.intake.tokens import find_ingest_token
from stats.models import AddressCount, Batch, Event, IngestToken, RollupRun, ServerCount
from tests.stats.conftest import ACTOR, NOW, Tenant
from tests.stats.events import assert_counts, event, random_events

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

pytestmark = [pytest.mark.storage, pytest.mark.django_db]


def run(name: str, *args: Any, **options: Any) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    call_command(name, *args, stdout=out, stderr=err, **options)
    return out.getvalue(), err.getvalue()


def answer(name: str, *args: Any) -> dict[str, Any]:
    return json.loads(run(name, *args, "--json")[0])


@pytest.fixture(autouse=True)
def now() -> Any:
    """What the commands read from the clock."""
    with time_machine.travel(NOW, tick=False):
        yield NOW


@pytest.fixture(autouse=True)
def pokes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The folds that were asked for; here each test folds when it wants to."""
    asked: list[str] = []
    monkeypatch.setattr("stats.management.commands.ingest_events.request_fold", lambda: asked.append("fold"))
    return asked


@pytest.fixture
def events(acme: Tenant, globex: Tenant, now: Any) -> list[dict[str, Any]]:
    return random_events([acme, globex], 200, seed=3, until=now)


def lines(events: list[Any]) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in events)


def test_it_ingests_a_file(events: list[dict[str, Any]], tmp_path: Path, now: Any, pokes: list[str]) -> None:
    path = tmp_path / "events.ndjson"
    path.write_bytes(lines(events))
    nothing_wrong = {"ignored": 0, "conflicts": [], "warnings": [], "refused": []}
    assert answer("ingest_events", str(path)) == {"accepted": 200, "duplicates": 0, **nothing_wrong}
    assert answer("ingest_events", str(path)) == {"accepted": 0, "duplicates": 200, **nothing_wrong}
    assert pokes == ["fold", "fold"]
    assert_counts(events, now=now)
    out, err = run("ingest_events", str(path))
    assert out.startswith("0 accepted, 200 duplicates, 0 refused in ")
    assert err == ""


@pytest.mark.parametrize("packed", [False, True])
def test_it_ingests_standard_input(
    events: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, now: Any, *, packed: bool
) -> None:
    content = gzip.compress(lines(events)) if packed else lines(events)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert answer("ingest_events", "-")["accepted"] == 200
    assert_counts(events, now=now)


def test_it_ingests_a_packed_file_of_several_members(events: list[dict[str, Any]], tmp_path: Path, now: Any) -> None:
    path = tmp_path / "events.ndjson.gz"
    path.write_bytes(gzip.compress(lines(events[:120])) + gzip.compress(lines(events[120:])))
    assert answer("ingest_events", str(path))["accepted"] == 200
    assert_counts(events, now=now)


def test_it_ingests_a_file_as_powershell_writes_it(events: list[dict[str, Any]], tmp_path: Path, now: Any) -> None:
    path = tmp_path / "events.ndjson"
    path.write_bytes(lines(events).decode().replace("\n", "\r\n").encode("utf-16"))
    assert answer("ingest_events", str(path))["accepted"] == len(events)


def test_it_ingests_a_file_whose_lines_end_in_cr_alone(events: list[dict[str, Any]], tmp_path: Path, now: Any) -> None:
    path = tmp_path / "events.ndjson"
    path.write_bytes(lines(events).replace(b"\n", b"\r"))
    assert answer("ingest_events", str(path))["accepted"] == len(events)


def test_it_says_which_lines_are_refused_and_keeps_the_others(acme: Tenant, tmp_path: Path, now: Any) -> None:
    good = [event(acme, id=str(number), at=now.isoformat()) for number in range(3)]
    content = [
        lines(good[:1]),
        b"\n",
        b"no json\n",
        b"[1]\n",
        lines(good[1:2]),
        b'{"id": "' + b"x" * 200_000 + b'"}\n',
        lines([event(acme, type="lost", at=now.isoformat())]),
        b"\xff\xfe\n",
        lines(good[2:]).rstrip(b"\n"),
    ]
    path, refused = tmp_path / "events.ndjson", tmp_path / "refused.ndjson"
    path.write_bytes(b"".join(content))
    types = "type must be one of incoming, sent, deferred, bounced, held, spam, complaint, late_bounce"
    expected = [
        {"line": 3, "code": "invalid_json", "message": "The line is not JSON"},
        {"line": 4, "code": "invalid_event", "message": "An event must be a JSON object"},
        {"line": 6, "code": "line_too_long", "message": "A line may have 65536 bytes"},
        {"line": 7, "code": "unknown_type", "message": types},
        {"line": 8, "code": "invalid_json", "message": "The line is not JSON"},
    ]
    assert answer("ingest_events", str(path), "--refused", str(refused)) == {
        "accepted": 3,
        "duplicates": 0,
        "ignored": 0,
        "conflicts": [],
        "warnings": [],
        "refused": [{"index": each.pop("line") - 1, **each} for each in [dict(one) for one in expected]],
    }
    assert [json.loads(line) for line in refused.read_text().splitlines()] == expected
    _, err = run("ingest_events", str(path))
    assert err.splitlines()[0] == "line 3: invalid_json: The line is not JSON"
    assert_counts(good, now=now)


def test_what_is_to_be_read_is_not_replaced_by_its_refusals(acme: Tenant, tmp_path: Path, now: Any) -> None:
    event_sources.make_source(name="relay", format="native", default_server=acme.server, actor=ACTOR)
    other, path, link = tmp_path / "other.ndjson", tmp_path / "events.ndjson", tmp_path / "link.ndjson"
    content = lines([event(acme, at=now.isoformat())])
    for file in (other, path):
        file.write_bytes(content)
    link.symlink_to(path)
    for refused in (path, link):
        for arguments in ([path], [other, path, "--source", "relay"]):
            with pytest.raises(CommandError, match="--refused must name another file"):
                run("ingest_events", *map(str, arguments), "--refused", str(refused))
    assert path.read_bytes() == content
    with pytest.raises(CommandError, match="File name too long"):
        run("ingest_events", str(path), "--refused", "x" * 5_000)


def test_of_several_files_it_says_which_has_the_line(acme: Tenant, tmp_path: Path, now: Any) -> None:
    event_sources.make_source(name="relay", format="native", default_server=acme.server, actor=ACTOR)
    good = event(acme, at=now.isoformat())
    contents = {"a.ndjson": [good], "b.ndjson": [good, {**good, "id": "2", "code": "x"}, {**good, "type": "lost"}]}
    files = [tmp_path / name for name in contents]
    for file, content in zip(files, contents.values(), strict=True):
        file.write_bytes(lines(content))
    types = "type must be one of incoming, sent, deferred, bounced, held, spam, complaint, late_bounce"
    refused, warned = (
        ("unknown_type", types),
        ("invalid_code", "code is left out: it must be an SMTP reply code, 200 to 599"),
    )
    second, log = str(files[1]), tmp_path / "refused.ndjson"
    arguments = ["ingest_events", *map(str, files), "--source", "relay"]
    assert answer(*arguments, "--refused", str(log)) == {
        "accepted": 2,
        "duplicates": 1,
        "ignored": 0,
        "conflicts": [],
        "warnings": [{"file": second, "index": 1, "code": warned[0], "message": warned[1]}],
        "refused": [{"file": second, "index": 2, "code": refused[0], "message": refused[1]}],
    }
    assert json.loads(log.read_text()) == {"file": second, "line": 3, "code": refused[0], "message": refused[1]}
    _, err = run(*arguments)
    assert err.splitlines() == [f"{second} line 2: {': '.join(warned)}", f"{second} line 3: {': '.join(refused)}"]


def test_it_shows_the_first_refusals_and_counts_the_rest(acme: Tenant, tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    path.write_bytes(b"x\n" * 25)
    _, err = run("ingest_events", str(path))
    assert len(err.splitlines()) == 21
    assert err.splitlines()[-1] == "and 5 more refused"


def test_a_file_may_have_more_days_than_a_batch(acme: Tenant, tmp_path: Path, now: Any) -> None:
    events = random_events([acme], 95, seed=5, days_ago=range(90), until=now)
    path = tmp_path / "events.ndjson"
    path.write_bytes(lines(events))
    assert answer("ingest_events", str(path))["accepted"] == 95
    assert Batch.objects.count() >= 2
    assert_counts(events, now=now)


def test_it_refuses_files_that_cannot_be_read(tmp_path: Path, events: list[dict[str, Any]]) -> None:
    with pytest.raises(CommandError, match="No such file"):
        run("ingest_events", str(tmp_path / "none"))
    with pytest.raises(CommandError, match="directory"):
        run("ingest_events", str(tmp_path))


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zstd.compress])
def test_of_a_damaged_file_it_stores_what_is_whole(pack: Any, tmp_path: Path, acme: Tenant, now: Any) -> None:
    # With texts that cannot be compressed: bzip2 has blocks of 900 kB, which are whole or nothing.
    padded = [{**each, "note": os.urandom(500).hex()} for each in random_events([acme], 2_000, seed=7, until=now)]
    packed = pack(lines(padded))
    for harmed in (packed[: len(packed) * 9 // 10], packed[:-9] + b"\xff" * 9):
        path = tmp_path / "harmed"
        path.write_bytes(harmed)
        with pytest.raises(
            CommandError, match="data is cut off or damaged: up to 64 KiB before its end have not been read"
        ):
            run("ingest_events", str(path))
        assert Event.objects.count() > 1_200


def test_nuls_that_a_loss_of_power_leaves_are_no_part_of_a_line(tmp_path: Path, events: list[dict[str, Any]]) -> None:
    path = tmp_path / "events.ndjson"
    path.write_bytes(b"\0" * 4_096 + lines(events).replace(b"\n", b"\n\0\0\0"))
    assert answer("ingest_events", str(path))["accepted"] == len(events)


def test_it_rolls_up_and_again_changes_nothing(events: list[dict[str, Any]], tmp_path: Path, now: Any) -> None:
    path = tmp_path / "events.ndjson"
    path.write_bytes(lines(events))
    run("ingest_events", str(path))
    first = answer("roll_up_stats")
    assert (first["batches"], first["events"]) == (1, 200)
    assert first["rows"] > 0
    assert_counts(events, now=now)
    assert answer("roll_up_stats") == {"batches": 0, "events": 0, "rows": 0}
    assert run("roll_up_stats")[0].startswith("0 events of 0 batches counted in ")


def ingest_and_fold(events: list[dict[str, Any]], path: Path) -> None:
    path.write_bytes(lines(events))
    run("ingest_events", str(path))
    run("roll_up_stats")


def test_it_audits_and_rebuilds(events: list[dict[str, Any]], tmp_path: Path, now: Any) -> None:
    ingest_and_fold(events, tmp_path / "events.ndjson")
    clean = {"days": 3, "events": 200, "differing": 0, "missing_events": 0, "differences": []}
    assert answer("audit_stats") == clean
    assert run("rebuild_stats")[0] == "All counts matched.\n"
    AddressCount.objects.filter(grain=Grain.TOTAL).update(sent=F("sent") + 1)
    rows = AddressCount.objects.filter(grain=Grain.TOTAL).count()
    out, err = io.StringIO(), io.StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("audit_stats", stdout=out, stderr=err)
    assert ended.value.code == 1
    assert f"{rows} counts differ." in out.getvalue()
    assert "total 0: sent -1" in err.getvalue()
    assert answer("rebuild_stats") == {"rows": rows}
    assert run("audit_stats")[0].endswith("all counts match.\n")
    assert_counts(events, now=now)
    runs = RollupRun.objects.filter(kind=RollupRun.Kind.REBUILD).order_by("id")
    assert list(runs.values_list("outcome", "rows")) == [("done", 0), ("done", rows)]


def test_it_rebuilds_the_days_asked_for(events: list[dict[str, Any]], tmp_path: Path, now: Any) -> None:
    ingest_and_fold(events, tmp_path / "events.ndjson")
    ServerCount.objects.filter(grain=Grain.DAY).update(sent=F("sent") + 1)
    day = now.date().isoformat()
    # The day of both servers, and their month and total, which are the sums of what all days say now.
    assert answer("rebuild_stats", "--from", day, "--to", day) == {"rows": 6}
    with pytest.raises(SystemExit):
        run("audit_stats")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--from", "2026-01-01"], "Give both"),
        (["--to", "2026-01-01"], "Give both"),
        (["--from", "2026-01-02", "--to", "2026-01-01"], "must not be after"),
        (["--from", "yesterday", "--to", "2026-01-01"], "is not a date"),
    ],
)
@pytest.mark.parametrize("name", ["rebuild_stats", "audit_stats"])
def test_it_refuses_days_that_make_no_sense(name: str, args: list[str], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        run(name, *args)


def test_it_does_not_rebuild_what_was_lost_unless_told(events: list[dict[str, Any]], tmp_path: Path, now: Any) -> None:
    ingest_and_fold(events, tmp_path / "events.ndjson")
    Event.objects.filter(key=Event.objects.order_by("key").first().key).delete()
    with pytest.raises(CommandError, match=r"1 events are gone\. That day was not changed"):
        run("rebuild_stats")
    assert RollupRun.objects.filter(kind=RollupRun.Kind.REBUILD, outcome=RollupRun.Outcome.FAILED).count() == 1
    assert_counts(events, now=now)
    assert answer("rebuild_stats", "--accept-loss")["rows"] > 0


def test_tokens_are_made_listed_and_revoked() -> None:
    made = answer("ingest_token", "make", "Collector 1")
    assert made == {
        "name": "Collector 1",
        "key_prefix": made["key"][:6],
        "key": made["key"],
        "created_at": made["created_at"],
        "last_used_at": None,
        "revoked_at": None,
    }
    assert find_ingest_token(made["key"], at=timezone.now()) == IngestToken.objects.get()
    with pytest.raises(CommandError, match="name has already been taken"):
        run("ingest_token", "make", "COLLECTOR 1")
    with pytest.raises(CommandError, match="name is required"):
        run("ingest_token", "make", " ")
    key = run("ingest_token", "make", "Second")[0].strip()
    assert find_ingest_token(key, at=timezone.now()).name == "Second"
    assert [each["name"] for each in answer("ingest_token", "list")["ingest_tokens"]] == ["Collector 1", "Second"]
    assert answer("ingest_token", "revoke", "collector 1")["revoked_at"] is not None
    assert find_ingest_token(made["key"], at=timezone.now()) is None
    with pytest.raises(CommandError, match="There is no active token named collector 1"):
        run("ingest_token", "revoke", "collector 1")
    assert run("ingest_token", "list")[0].splitlines() == [
        f"{made['key_prefix']}…  revoked   Collector 1",
        f"{key[:6]}…  in use    Second",
    ]
    # A revoked name is free again.
    run("ingest_token", "make", "Collector 1")
    entries = AuditEntry.objects.order_by("id").values_list("act", "actor_label", "target_label")
    assert list(entries)[:3] == [
        ("ingest_token.created", "ingest_token", f"Collector 1 ({made['key_prefix']}…)"),
        ("ingest_token.created", "ingest_token", f"Second ({key[:6]}…)"),
        ("ingest_token.revoked", "ingest_token", f"Collector 1 ({made['key_prefix']}…)"),
    ]
    assert made["key"] not in str(list(AuditEntry.objects.values()))


def test_a_list_of_no_tokens_says_so() -> None:
    assert run("ingest_token", "list")[0] == "There are no ingest tokens.\n"


# As Python gives a command what the shell gave it as the byte 0xff.
NO_UTF8 = os.fsdecode(b"\xff")


def test_arguments_that_no_database_takes_are_refused_in_a_sentence(db: None) -> None:
    for name in (NO_UTF8, "tab\tbed", "nul\0"):
        with pytest.raises(CommandError, match="name must not contain control characters"):
            run("ingest_token", "make", name)
    for command, *arguments in (
        ("ingest_token", "revoke"),
        ("export_zone",),
        ("policy", "show"),
        ("revoke_api_token",),
    ):
        with pytest.raises(CommandError):
            run(command, *arguments, NO_UTF8)


def test_a_file_that_is_packed_otherwise_is_refused_by_its_packing(tmp_path: Path) -> None:
    file = tmp_path / "events.zip"
    file.write_bytes(b"PK\x03\x04\n\n")
    with pytest.raises(CommandError, match="The file is packed by zip: unpack it, or use gzip, bzip2, xz or zstd"):
        run("ingest_events", str(file))


def test_the_log_of_another_program_is_not_passed_over_in_silence(tmp_path: Path) -> None:
    event_sources.make_source(name="mx", format="postfix", actor=ACTOR)
    log = tmp_path / "mainlog"
    log.write_text("2026-11-27 02:35:04 1vOxyz-00000000abc-1Cde => ann@gmail.com R=dnslookup T=remote_smtp\n")
    out, _ = run("ingest_events", str(log), source="mx")
    assert out.endswith("No line tells of a delivery: the source mx reads postfix.\n")
