"""What a source delivers: whose it is, by which address it left, what state is kept, and what is counted of it."""

import datetime
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from servers.models import Domain, DomainVerification
from servers.provisioning import create_organization, create_server
from stats.counts.fold import fold_all
from stats.intake import delivery, event_sources, source_counts, sources
from stats.intake.delivery import StateMoved, deliver
from stats.ledger.database import IS_APART
from stats.models import Event, EventSource, RefusalCount, SourceActivity, SourceCount, SourceSample, SourceState
from stats.reports import queries
from stats.reports.reader import Counts
from tests.stats.conftest import ACTOR, NOW, Tenant

pytestmark = [pytest.mark.storage, pytest.mark.django_db]

SAMPLES = Path(__file__).parent / "intake/samples"
LATER = datetime.datetime(2026, 11, 27, 12, tzinfo=datetime.UTC)


def make(kind: str, **values: Any) -> EventSource:
    return event_sources.make_source(name=f"My {kind}", format=kind, actor=ACTOR, **values).source


def report(source: EventSource, *bodies: bytes, now: datetime.datetime = NOW, **options: Any) -> dict[str, Any]:
    return deliver(source, lambda: [io.BytesIO(body) for body in bodies], now=now, **options).document()


def lines(*events: Any) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in events)


def native(**fields: Any) -> dict[str, Any]:
    return {"id": "1", "type": "sent", "at": "2026-03-11T15:30:00Z", "to": "x@gmail.com"} | fields


def verify(tenant: Tenant, name: str) -> None:
    Domain.objects.create(server=tenant.server, name=name, verified_at=NOW, dkim_identifier="x", dkim_public_key="x")
    DomainVerification.objects.create(server=tenant.server, name=name, since=NOW)


def counts_of(*tenants: Tenant) -> list[Counts]:
    fold_all(now=NOW)
    return [queries.server_totals([each.server.pk])[each.server.pk] for each in tenants]


def test_whose_an_event_is(acme: Tenant, globex: Tenant) -> None:
    """An explicit tenant, else the mapping, else the sender's domain where one living server has it, else the default."""
    source = make("native", default_server=globex.server)
    event_sources.map_text(source=source, text="mapped", server=acme.server, actor=ACTOR)
    verify(acme, "acme.example")
    verify(acme, "both.example")
    verify(globex, "both.example")
    told = [
        native(id="explicit", server=globex.smtp_user, **{"from": "a@acme.example"}),
        native(id="domain", **{"from": "a@Acme.Example"}),
        native(id="both", **{"from": "a@both.example"}),
        native(id="default", **{"from": "a@elsewhere.example"}),
        native(id="unknown", server="acme/none"),
        native(id="null sender", **{"from": ""}),
    ]
    answer = report(source, lines(*told))
    assert (answer["accepted"], answer["refused"]) == (
        5,
        [{"index": 4, "code": "unknown_server", "message": "The server could not be found"}],
    )
    assert counts_of(acme, globex) == [Counts(sent=1), Counts(sent=4)]


def test_without_a_default_an_event_of_nobody_is_refused(acme: Tenant) -> None:
    answer = report(make("native"), lines(native()))
    assert [each["code"] for each in answer["refused"]] == ["unknown_server"]
    assert RefusalCount.objects.count() == 0


@pytest.mark.parametrize("at", ["9999-12-31T23:59:59-05:00", "0001-01-01T00:00:00+05:00", "0001-01-01T00:00:00Z"])
def test_a_time_at_the_end_of_the_calendar_refuses_its_event_alone(acme: Tenant, at: str) -> None:
    """The source's latest event was stored: its time in UTC is beyond what there is, and no delivery ended."""
    answer = report(make("native", default_server=acme.server), lines(native(), native(id="2", at=at)))
    assert (answer["accepted"], len(answer["refused"])) == (1, 1)
    record = {"type": "Delivery", "id": "a", "timestamp": 1, "event_time": at, "created_time": at, "nodeid": "n"}
    answer = report(make("kumomta", default_server=acme.server), lines(record))
    assert (answer["accepted"], len(answer["refused"])) == (0, 1)


def test_a_mapping_comes_before_the_senders_domain(acme: Tenant, globex: Tenant) -> None:
    source = make("kumomta")
    event_sources.map_text(source=source, text="out-7", server=acme.server, actor=ACTOR)
    event_sources.map_text(source=source, text="out-7", server=globex.server, actor=ACTOR)
    verify(acme, "acme.example")
    at = {"timestamp": int(NOW.timestamp()), "event_time": NOW.isoformat(), "created_time": NOW.isoformat()}
    record = {
        "type": "Delivery",
        "id": "aa",
        "sender": "news@acme.example",
        "recipient": "x@big.example",
        "nodeid": "n",
    }
    records = [record | at | {"queue": "big.example", "egress_source": name} for name in ("out-7", "out-8")]
    answer = report(source, lines(*records))
    assert (answer["accepted"], [each["code"] for each in answer["warnings"]]) == (2, ["unknown_vmta", "unknown_vmta"])
    assert counts_of(acme, globex) == [Counts(sent=1), Counts(sent=1)]


POSTFIX = """\
Nov 27 02:35:08 mx sluice-front/smtpd[1]: 4jbHZN0dDhzMVFQ: client=c[10.0.0.1], sasl_method=PLAIN, sasl_username={user}
Nov 27 02:35:08 mx sluice-front/qmgr[2]: 4jbHZN0dDhzMVFQ: from=<n@acme.example>, size=9, nrcpt=2 (queue active)
Nov 27 02:35:09 mx {tag}/smtp[3]: 4jbHZN0dDhzMVFQ: to=<a@big.example>, relay=m[192.0.2.9]:25, delay=1.2, \
delays=0/0/1/0, dsn=2.0.0, status=sent (250 2.0.0 Ok)
Nov 27 02:35:10 mx {tag}/smtp[3]: 4jbHZN0dDhzMVFQ: to=<b@big.example>, relay=m[192.0.2.9]:25, delay=2.2, \
delays=0/0/1/0, dsn=4.7.0, status=deferred (host m[192.0.2.9] said: 421 4.7.0 slow down)
"""


def test_a_log_keeps_its_state_between_deliveries(acme: Tenant) -> None:
    source, address = make("postfix"), acme.addresses[1]
    log = POSTFIX.format(user=acme.smtp_user, tag=f"sluice-a{address.pk}-r0").splitlines(keepends=True)
    for number, line in enumerate(log):
        report(source, line.encode(), now=LATER)
        assert SourceState.objects.get().version == number + 1
    whole = report(source, "".join(log).encode(), now=LATER)
    assert (whole["accepted"], whole["duplicates"], whole["conflicts"], whole["refused"]) == (0, 4, [], [])
    assert counts_of(acme) == [Counts(incoming=2, sent=1, deferred=1)]
    stored = Event.objects.exclude(kind=1).order_by("key")
    assert [(each.address_id, each.rule_id, each.latency) for each in stored] == [
        (address.pk, 0, 1),
        (address.pk, 0, 2),
    ]


def test_an_unknown_tag_counts_for_the_server_with_a_warning(acme: Tenant) -> None:
    log = POSTFIX.format(user=acme.smtp_user, tag="sluice-a999999-r0").encode()
    answer = report(make("postfix"), log, now=LATER)
    assert (answer["accepted"], [each["code"] for each in answer["warnings"]]) == (4, ["unknown_vmta", "unknown_vmta"])
    assert counts_of(acme) == [Counts(incoming=2, sent=1, deferred=1)]
    assert set(Event.objects.values_list("address_id", flat=True)) == {0}


def test_files_of_one_machine_are_read_together_in_any_order(acme: Tenant) -> None:
    initech = create_organization(at=timezone.now(), name="Initech", actor=ACTOR)
    create_server(organization=acme.organization, name="Marketing", mode="live", actor=ACTOR)
    create_server(organization=initech, name="News", mode="live", actor=ACTOR)
    log = (SAMPLES / "postfix/front-and-pools.log").read_bytes().splitlines(keepends=True)
    front, pools = ([line for line in log if (b" front/" in line) == is_front] for is_front in (True, False))
    assert front or pools
    answer = report(make("postfix"), b"".join(pools), b"".join(front), now=LATER, is_whole=True)
    assert (answer["accepted"], answer["refused"]) == (48, [])


def test_a_state_that_another_delivery_stored_is_not_overwritten(acme: Tenant) -> None:
    source = make("postfix")
    log = POSTFIX.format(user=acme.smtp_user, tag="x").encode()
    opened = []

    def open_streams() -> list[io.BytesIO]:
        opened.append(1)
        if len(opened) == 1:
            SourceState.objects.create(source=source, state={}, version=7, updated_at=NOW)
        return [io.BytesIO(log)]

    assert deliver(source, open_streams, now=LATER).counts["accepted"] == 4
    assert (len(opened), SourceState.objects.get().version) == (2, 8)

    with pytest.raises(StateMoved):
        deliver(source, lambda: [_Moves(log, source)], now=LATER)


class _Moves(io.BytesIO):
    """A stream during whose reading another delivery stores its state."""

    def __init__(self, content: bytes, source: EventSource) -> None:
        super().__init__(content)
        self._source = source

    def readinto(self, buffer: Any) -> int:
        state = SourceState.objects.get(source=self._source)
        SourceState.objects.filter(source=self._source).update(version=state.version + 1)
        return super().readinto(buffer)


def test_nothing_of_a_logs_delivery_is_stored_without_its_state(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    source = make("postfix")
    log = POSTFIX.format(user=acme.smtp_user, tag="x").encode()

    def fail(self: Any) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as broken:
        broken.setattr(delivery._Delivery, "_keep_state", fail)
        with pytest.raises(RuntimeError, match="killed"):
            report(source, log, now=LATER)
    # Where events are in a database of their own, they commit before the state, and count once.
    assert Event.objects.count() == (4 if IS_APART else 0)
    assert report(source, log, now=LATER)["duplicates" if IS_APART else "accepted"] == 4
    assert Event.objects.count() == 4


def test_what_came_of_it_is_counted_by_reason_and_sampled_without_mailboxes(acme: Tenant) -> None:
    source = make("native", default_server=acme.server)
    told = [
        native(id="a", **{"from": "secret@acme.example"}),
        native(id="a", **{"from": "secret@acme.example"}),
        native(id="a", **{"from": "other@acme.example"}),
        native(id="b", type="ignored"),
        native(id="c", type="lost", **{"from": "secret@acme.example"}),
        native(id="d", code="x"),
    ]
    answer = report(source, lines(*told) + b"no json\n")
    assert {name: answer[name] if type(answer[name]) is int else len(answer[name]) for name in answer} == {
        "accepted": 2, "duplicates": 1, "ignored": 1, "conflicts": 1, "warnings": 1, "refused": 2,
    }  # fmt: skip
    report(source, lines(told[0]))
    rows = SourceCount.objects.order_by("outcome", "code").values_list("outcome", "code", "number")
    assert list(rows) == [
        ("accepted", "", 2),
        ("conflicts", "conflict", 1),
        ("duplicates", "", 2),
        ("ignored", "", 1),
        ("refused", "invalid_json", 1),
        ("refused", "unknown_type", 1),
        ("warnings", "invalid_code", 1),
    ]
    assert {(each.outcome, each.code) for each in SourceSample.objects.all()} == {
        ("conflicts", "conflict"),
        ("refused", "invalid_json"),
        ("refused", "unknown_type"),
        ("warnings", "invalid_code"),
    }
    assert all("secret" not in each.sample and "x@gmail" not in each.sample for each in SourceSample.objects.all())
    activity = SourceActivity.objects.get()
    assert (activity.last_delivery_at, activity.lag_seconds) == (NOW, 20.0)
    summary = source_counts.summary(source, NOW)
    assert (summary.totals["accepted"], summary.reasons["refused"]) == (2, {"invalid_json": 1, "unknown_type": 1})
    assert source_counts.summary(source, NOW + datetime.timedelta(hours=1)).last_hour == 2
    assert source_counts.totals([source.pk], NOW)[source.pk] == summary.totals
    source_counts.prune(now=NOW + datetime.timedelta(days=31))
    assert SourceCount.objects.count() == 0


def test_a_source_that_makes_up_words_fills_no_table(acme: Tenant) -> None:
    record = {"event_type": "word", "timestamp": 1, "event_unique_id": "x"}
    body = json.dumps([record | {"event_type": f"word {number}"} for number in range(200)]).encode()
    assert report(make("greenarrow"), body)["ignored"] == 200
    assert SourceCount.objects.count() <= 51
    assert sum(SourceCount.objects.values_list("number", flat=True)) == 200


def test_packed_bodies_and_limits(acme: Tenant) -> None:
    source = make("native", default_server=acme.server)
    body = b"\xef\xbb\xbf" + lines(*(native(id=str(number)) for number in range(5))).replace(b"\n", b"\r\n")
    assert report(source, gzip.compress(body))["accepted"] == 5
    assert report(source, body)["duplicates"] == 5
    with pytest.raises(sources.TooLarge):
        report(source, body, most_records=4)
    with pytest.raises(sources.TooLarge):
        report(source, gzip.compress(b" " * 10_000), limit=1000)


def test_more_days_than_a_batch_takes_are_stored_in_several(acme: Tenant) -> None:
    source = make("native", default_server=acme.server)
    told = [native(id=str(ago), at=(NOW - datetime.timedelta(days=ago)).isoformat()) for ago in range(95)]
    assert report(source, lines(*told)) == {
        "accepted": 95, "duplicates": 0, "ignored": 0, "conflicts": [], "warnings": [], "refused": [],
    }  # fmt: skip


@pytest.mark.parametrize("kind", sources.FORMATS)
def test_every_sample_of_every_format_is_taken(acme: Tenant, kind: str) -> None:
    """What is expected of each record is in tests/stats/intake; here: whatever a reader gives is stored."""
    source = make(kind, default_server=acme.server)
    for path in sorted((SAMPLES / kind).glob("*")) if (SAMPLES / kind).is_dir() else []:
        if path.name.endswith((".events.ndjson", ".outcomes.ndjson", ".md")):
            continue
        answer = report(source, path.read_bytes(), now=LATER)
        unknown = [each for each in answer["refused"] if each["code"] != "unknown_server"]
        again = report(source, path.read_bytes(), now=LATER)
        assert again["accepted"] == 0, path
        assert again["duplicates"] + len(again["conflicts"]) >= answer["accepted"], path
        assert len(again["refused"]) <= len(answer["refused"]) + len(unknown), path


def test_a_tenant_that_the_mta_calls_otherwise_is_mapped_by_its_name(acme: Tenant, globex: Tenant) -> None:
    source = make("native", default_server=globex.server)
    for name in ("customer42", "globex/none"):
        event_sources.map_text(source=source, text=name, server=acme.server, actor=ACTOR)
    told = [native(id=name, server=name) for name in ("customer42", "customer43", "globex/none", globex.smtp_user)]
    answer = report(source, lines(*told))
    assert [each["index"] for each in answer["refused"]] == [1, 2]
    assert counts_of(acme, globex) == [Counts(sent=1), Counts(sent=1)]
