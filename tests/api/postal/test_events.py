"""POST /api/v1/events: every form of body, who may report what, and that what is accepted is stored."""

import datetime
import gzip
import json
from typing import Any

import pytest
import time_machine
from django.db import connection, transaction
from django.db.utils import InterfaceError
from django.test.utils import CaptureQueriesContext

from api.bodies import MEBIBYTE
from api.postal import event_bodies, events
from core.audit import Actor
from servers.models import Credential
from stats.counts.fold import fold_all
from stats.intake import ingest, tally
from stats.intake.sources import framing
from stats.intake.tokens import make_ingest_token, revoke_ingest_token
from stats.models import Batch, Event, IngestToken
from stats.reports import queries
from tests.api.postal.conftest import NO_KEY, NOW, SUSPENDED, WRONG_KEY, error, make_pool, parameter_error, success

pytestmark = [pytest.mark.storage, pytest.mark.django_db]

PATH = "events"
AT = NOW.isoformat()


@pytest.fixture(autouse=True)
def pokes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The folds that were asked for; each test folds when it wants to."""
    asked: list[str] = []
    monkeypatch.setattr(events, "request_fold", lambda: asked.append("fold"))
    return asked


@pytest.fixture
def token(db: None) -> str:
    return make_ingest_token(name="Collector", actor=Actor.system()).key


def one(**changes: Any) -> dict[str, Any]:
    return {"id": "1", "type": "sent", "at": AT, "from": "a@acme.example", "to": "b@gmail.com"} | changes


def some(number: int, **changes: Any) -> list[dict[str, Any]]:
    return [one(id=str(index), **changes) for index in range(number)]


def lines(events: list[Any]) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in events)


def remarks(*rows: tuple[int, str, str]) -> list[dict[str, Any]]:
    return [{"index": index, "code": code, "message": message} for index, code, message in rows]


def document(accepted: int = 0, duplicates: int = 0, **others: Any) -> dict[str, Any]:
    empty: dict[str, Any] = {"ignored": 0, "conflicts": [], "warnings": [], "refused": []}
    return {"accepted": accepted, "duplicates": duplicates} | empty | others


def stored(accepted: int = 0, duplicates: int = 0, *refused: tuple[int, str, str], **others: Any) -> dict[str, Any]:
    return success(document(accepted, duplicates, refused=remarks(*refused), **others))


def sent_today(tenant: Any) -> int:
    fold_all(now=NOW)
    return queries.server_sent([tenant.server.pk], NOW)[tenant.server.pk].today


# --- bodies -----------------------------------------------------------------------------------------------------------


def test_it_works(call, acme, pokes):
    make_pool(acme.organization, "A", "1.1.1.1")
    sent = [
        one(ip="1.1.1.1"),
        one(id="2", type="bounced", code=550, enhanced="x", reply="550 5.1.1 nobody here"),
        one(ip="1.1.1.1"),
        one(id="3", at="2026-11-18T10:30:15"),
        one(),
        one(id="4", type="ignored"),
    ]
    assert call(PATH, sent, key=acme.key) == stored(
        2,
        1,
        (3, "no_offset", "at must have an offset from UTC, or Z"),
        ignored=1,
        conflicts=remarks((4, "conflict", ingest.CONFLICT)),
        warnings=remarks(
            (1, "invalid_enhanced", "enhanced is left out: it must be an enhanced status code such as 5.1.1")
        ),
    )
    assert pokes == ["fold"]
    assert sent_today(acme) == 1


BODIES = {
    "array": json.dumps(some(3)).encode(),
    "array after a byte order mark": b"\xef\xbb\xbf" + json.dumps(some(3)).encode(),
    "lines after a byte order mark": b"\xef\xbb\xbf" + lines(some(3)),
    "zstd": framing.zstd.compress(lines(some(3))),
    "array over lines": json.dumps(some(3), indent=2).encode(),
    "array after space": b"\r\n\t " + json.dumps(some(3)).encode() + b" \n",
    "lines": lines(some(3)),
    "lines without an end": lines(some(3)).rstrip(),
    "lines with CRLF": lines(some(3)).replace(b"\n", b"\r\n"),
    "lines with empty ones": b"\n \n" + lines(some(3)).replace(b"\n", b"\n\n"),
}


@pytest.mark.parametrize("content_type", ["application/json", "application/x-ndjson", "text/plain", "", "a/b; c=d"])
@pytest.mark.parametrize("name", BODIES)
def test_it_takes_arrays_and_lines_whatever_they_are_called(call, acme, name, content_type):
    assert call.raw(PATH, BODIES[name], key=acme.key, content_type=content_type) == stored(3)
    assert sent_today(acme) == 3


@pytest.mark.parametrize("body", [json.dumps(one()).encode(), json.dumps(one(), indent=2).encode(), lines([one()])])
def test_it_takes_one_object(call, acme, body):
    assert call.raw(PATH, body, key=acme.key, content_type="application/x-www-form-urlencoded") == stored(1)


def test_nothing_in_an_array_is_nothing(call, acme, pokes):
    assert call(PATH, [], key=acme.key) == stored()
    assert pokes == []


def test_a_line_that_is_no_json_is_refused_by_itself(call, acme):
    body = lines(some(1)) + b"{no json\n\xff\xfe\n" + b'{"id":"' + b"x" * 70_000 + b'"}\n' + lines([one(id="last")])
    assert call.raw(PATH, body, key=acme.key) == stored(
        2,
        0,
        (1, "invalid_json", "The line is not JSON"),
        (2, "invalid_json", "The line is not JSON"),
        (3, "line_too_long", "A line may have 65536 bytes"),
    )


def test_half_of_a_character_in_a_reply_and_a_mark_between_two_files_lose_no_event(call, acme):
    first, second = (json.dumps(one(id=name, reply="full x")).encode() for name in ("first", "second"))
    body = (
        first.replace(b"full x", rb"full \ud83d") + b"\n\xef\xbb\xbf" + second.replace(b"full x", b"full \xc3") + b"\n"
    )
    assert call.raw(PATH, body, key=acme.key) == stored(2)


@pytest.mark.parametrize("body", [b"", b" \n ", b"5", b"null", b"true", b'"text"', b"id=1", b"\x00"])
def test_it_rejects_what_is_none_of_these(call, acme, body):
    assert call.raw(PATH, body, key=acme.key) == parameter_error(event_bodies.SHAPE)


@pytest.mark.parametrize("body", [b"[", b"[1,", b"[{]", b"[NaN]", b'["\\ud800"]', b"[" * 5000, b"[]]", b"[1e400]"])
def test_it_rejects_an_array_that_is_no_json(call, acme, body):
    answer = call.raw(PATH, body, key=acme.key)
    assert answer["status"] == "parameter-error"
    assert answer["data"]["message"].startswith("The request is not valid JSON: ")


def test_elements_that_are_no_events_are_refused_by_themselves(call, acme):
    refusal = ("invalid_event", "An event must be a JSON object")
    body = [None, 1, "x", [], one(), True]
    assert call(PATH, body, key=acme.key) == stored(1, 0, *((index, *refusal) for index in (0, 1, 2, 3, 5)))


def test_hostile_events_never_crash(call, acme, token):
    hostile = [
        None, True, 0, -1, 2**63, 2**64, 1.5, 1e308, "", " ", "\x00", "\U0001f600", "\ufdfa" * 200, "x" * 60_000, [], {},
        [None], {"id": 1}, "'; DROP TABLE stats_event; --", "1.1.1.1", "::", "a@b", "acme/transactional-server",
    ]  # fmt: skip
    for key in (acme.key, token):
        for name in ("id", "type", "at", "server", "ip", "from", "to", "domain", "other"):
            answer = call(PATH, [one(**{name: value}) for value in hostile], key=key)
            assert answer["status"] == "success"
            assert sum(map(len, [answer["data"]["refused"]])) <= len(hostile)


# --- gzip and size ----------------------------------------------------------------------------------------------------


def post(call, key: str, body: bytes, **headers: str) -> Any:
    return call.client.post(
        "/api/v1/events", body, content_type="application/json", headers={"X-Server-API-Key": key} | headers
    )


@pytest.mark.parametrize("headers", [{}, {"Content-Encoding": "gzip"}, {"Content-Encoding": "GZIP"}])
@pytest.mark.parametrize("members", [1, 3])
def test_it_unpacks_gzip(call, acme, headers, members):
    parts = [lines([one(id=f"{member}-{index}") for index in range(5)]) for member in range(members)]
    answer = post(call, acme.key, b"".join(map(gzip.compress, parts)), **headers)
    assert answer.json()["data"] == document(5 * members)


@pytest.mark.parametrize(
    ("body", "encoding", "message"),
    [
        (gzip.compress(lines(some(5)))[:-4], "gzip", event_bodies.BROKEN_GZIP),
        (gzip.compress(lines(some(5)))[:-4], "", event_bodies.BROKEN_GZIP),
        (gzip.compress(lines(some(5))) + b"rest", "gzip", event_bodies.BROKEN_GZIP),
        (b"\x1f\x8b no gzip", "gzip", event_bodies.BROKEN_GZIP),
        (lines(some(5)), "gzip", event_bodies.BROKEN_GZIP),
        (lines(some(5)), "br", event_bodies.ENCODING),
    ],
)
def test_it_rejects_what_cannot_be_unpacked(call, acme, body, encoding, message):
    answer = post(call, acme.key, body, **({"Content-Encoding": encoding} if encoding else {})).json()
    assert (answer["status"], answer["data"]) == ("parameter-error", {"message": message})
    assert Event.objects.count() == 0


def test_it_rejects_a_body_that_is_too_large(call, acme):
    answer = post(call, acme.key, b"[" + b" " * 16 * MEBIBYTE)
    assert (answer.status_code, answer["Retry-After"]) == (413, "5")
    assert answer.json()["data"] == {
        "code": "RequestTooLarge",
        "message": "The request's body must not be larger than 16 MiB",
    }


def test_it_rejects_a_body_that_becomes_too_large(call, acme):
    """Sixty-four MiB of nothing are 64 KiB packed; it is not unpacked any further than the limit."""
    answer = post(call, acme.key, gzip.compress(b"{}" + b"\n" * 64 * MEBIBYTE, 1))
    assert (answer.status_code, answer.json()["data"]) == (
        413,
        {"code": "RequestTooLarge", "message": "The request's body must not be larger than 64 MiB unpacked"},
    )
    array = post(call, acme.key, gzip.compress(b"[]" + b"\n" * 16 * MEBIBYTE, 1))
    assert (array.status_code, array.json()["data"]) == (
        413,
        {"code": "RequestTooLarge", "message": event_bodies.ARRAY_TOO_LARGE},
    )


def test_positions_are_those_of_the_whole_body(call, acme, monkeypatch):
    monkeypatch.setattr(events, "MOST_EVENTS", 4)
    body = some(11)
    body[6]["type"] = "lost"
    answer = call.raw(PATH, lines(body), key=acme.key)
    assert (answer["data"]["accepted"], [each["index"] for each in answer["data"]["refused"]]) == (10, [6])
    assert Batch.objects.count() == 3


def test_of_very_many_refusals_the_first_are_told(call, acme, monkeypatch):
    monkeypatch.setattr(tally, "MOST_REMARKS", 2)
    answer = call(PATH, [1, 2, 3, one()], key=acme.key)
    assert answer["flags"] == {"truncated": True}
    assert answer["data"]["accepted"] == 1
    assert [each["index"] for each in answer["data"]["refused"]] == [0, 1]


# --- who reports ------------------------------------------------------------------------------------------------------


def test_it_rejects_no_key_and_wrong_ones(call, acme, suspended, token):
    assert call(PATH, [one()]) == NO_KEY
    for key in ("", " ", "wrong", acme.key.swapcase(), token[:-1], "\xe9\xff", "k" * 8000):
        assert call(PATH, [one()], key=key) == WRONG_KEY
    assert call(PATH, [one()], key=suspended.key) == SUSPENDED
    Credential.objects.update(held_at=NOW)
    assert call(PATH, [one()], key=acme.key) == WRONG_KEY
    revoke_ingest_token(token=IngestToken.objects.get(), at=NOW, actor=Actor.system())
    assert call(PATH, [one()], key=token) == WRONG_KEY
    assert Event.objects.count() == 0


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_it_rejects_wrong_verbs(call, acme, method):
    wrong = error("MethodNotAllowed", "This URL does not answer this method")
    assert call(PATH, method=method, key=acme.key) == wrong


def test_a_server_reports_for_itself_alone(call, acme, globex):
    make_pool(acme.organization, "A", "1.1.1.1")
    make_pool(globex.organization, "B", "9.9.9.9")
    unknown = ("unknown_server", "The server could not be found")
    foreign = ("unknown_ip", "ip is not an address of a pool of the server's organization")
    sent = [
        one(server=str(globex.server.uuid)),
        one(server="globex/globex-server"),
        one(ip="9.9.9.9"),
        one(ip="203.0.113.1"),
        one(server="acme/transactional-server", ip="1.1.1.1"),
    ]
    assert call(PATH, sent, key=acme.key) == stored(1, 0, (0, *unknown), (1, *unknown), (2, *foreign), (3, *foreign))
    assert (sent_today(acme), sent_today(globex)) == (1, 0)


def test_a_token_reports_for_any_server(call, acme, globex, token):
    sent = [
        one(server=str(acme.server.uuid)),
        one(server="globex/globex-server"),
        one(id="2", server=str(globex.server.uuid), ip="203.0.113.1"),
        one(),
        one(server="acme/none"),
    ]
    assert call(PATH, sent, key=token) == stored(
        3,
        0,
        (3, "unknown_server", "server is left out: it must be the UUID or the SMTP user of a server"),
        (4, "unknown_server", "The server could not be found"),
    )
    assert (sent_today(acme), sent_today(globex)) == (1, 2)
    # The same events by the server's own key are replays.
    assert call(PATH, [one()], key=acme.key) == stored(0, 1)


def test_the_use_of_a_key_and_of_a_token_is_noted(call, acme, token):
    call(PATH, [], key=acme.key)
    call(PATH, [], key=token)
    assert Credential.objects.get(server=acme.server, kind="api").last_used_at == NOW
    assert IngestToken.objects.get().last_used_at == NOW
    with time_machine.travel(NOW + datetime.timedelta(seconds=59), tick=False):
        call(PATH, [], key=token)
    assert IngestToken.objects.get().last_used_at == NOW


def test_it_costs_the_same_queries_however_many_events_there_are(call, acme):
    make_pool(acme.organization, "A", *(f"1.1.1.{number}" for number in range(1, 40)))

    def queries_of(number: int, prefix: str) -> int:
        body = [
            one(id=f"{prefix}{index}", ip=f"1.1.1.{index % 39 + 1}", **{"from": f"{prefix}{index}@acme.example"})
            for index in range(number)
        ]
        with CaptureQueriesContext(connection) as captured:
            assert call(PATH, body, key=acme.key)["data"]["accepted"] == number
        return len(captured)

    queries_of(2, "a")
    assert queries_of(5, "b") == queries_of(300, "c")


# --- what is accepted is stored -----------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_what_is_accepted_is_committed_before_the_answer(call, acme):
    assert call(PATH, some(3), key=acme.key) == stored(3)
    assert not connection.in_atomic_block
    with transaction.atomic():
        assert Event.objects.count() == 3


def test_a_database_that_is_away_says_so_and_all_can_be_sent_again(call, acme, monkeypatch):
    def refuse(*args: Any) -> int:
        raise InterfaceError("connection already closed")

    with monkeypatch.context() as broken:
        broken.setattr("stats.ledger.storage.insert_events", refuse)
        answer = call.client.post(
            "/api/v1/events",
            json.dumps(some(3)),
            content_type="application/json",
            headers={"X-Server-API-Key": acme.key},
        )
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert answer.json()["data"]["code"] == "Unavailable"
    assert Event.objects.count() == 0
    assert call(PATH, some(3), key=acme.key) == stored(3)
