"""What a body of `events` may cost in time: the worst bodies that are known."""

import gzip
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from api.postal import event_bodies
from servers.models import Webhook
from stats.intake import effort, event_sources, mailboxes
from stats.intake.sources import framing
from stats.models import Event
from tests.api.postal.test_events import document, one, post, remarks
from tests.fuzz.bodies import FOUND, bounce
from tests.slowness import on_this_machine
from tests.stats.conftest import ACTOR
from webhooks.models import Delivery

pytestmark = pytest.mark.django_db

SECONDS = 5
EMPTY_MEMBER = gzip.compress(b"", mtime=0)


@pytest.fixture(autouse=True)
def pokes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.postal.events.request_fold", lambda: None)
    mailboxes._domain_of.cache_clear()


# Made when they are wanted: together they are a hundred megabytes.
REFUSED_EARLY: dict[str, tuple[Callable[[], bytes], str]] = {
    "lines of nothing": (lambda: gzip.compress(b"{}\n" + b"1\n" * 8_000_000, 9), event_bodies.TOO_MANY_RECORDS),
    "empty lines": (lambda: gzip.compress(b"{}\n" + b"\n" * 8_000_000, 9), event_bodies.TOO_MANY_RECORDS),
    "an array of lists": (lambda: b"[" + b"[]," * 5_000_000 + b"1]", event_bodies.TOO_MANY_VALUES),
    "an array of numbers": (lambda: b"[" + b"1," * 7_000_000 + b"1]", event_bodies.TOO_MANY_VALUES),
    "an array of objects": (lambda: b"[" + b'{"a":1},' * 300_000 + b"1]", event_bodies.TOO_MANY_VALUES),
    "an array of many events": (lambda: b"[" + b"{}," * 120_000 + b"1]", event_bodies.TOO_MANY_RECORDS),
    "empty members of gzip": (lambda: gzip.compress(b"{}") + EMPTY_MEMBER * 150_000, event_bodies.TOO_MANY_PARTS),
    "long replies": (FOUND["long replies"], event_bodies.TOO_MUCH_TEXT),
    "empty frames of zstd": (
        lambda: framing.zstd.compress(b"{}") + framing.zstd.compress(b"") * 100_000,
        event_bodies.TOO_MANY_PARTS,
    ),
}


@pytest.mark.parametrize("name", REFUSED_EARLY)
def test_what_would_cost_too_much_is_refused_early(call, acme, name):
    make, message = REFUSED_EARLY[name]
    body = make()
    began = time.process_time()
    answer = post(call, acme.key, body)
    assert (answer.status_code, answer.json()["data"]) == (413, {"code": "RequestTooLarge", "message": message})
    assert time.process_time() - began < on_this_machine(2)


@pytest.mark.parametrize("value", [b"[],", b'{"":1},'])
def test_lines_of_very_many_lists_or_objects_are_refused_early(call, acme, value):
    """Packed they are some hundred KiB, as objects of Python's they would be gigabytes."""
    line = b'{"a":[' + value * (65_000 // len(value)) + b"1]}\n"
    began = time.process_time()
    answer = post(call, acme.key, gzip.compress(line * 1_000, 1))
    expected = {"code": "RequestTooLarge", "message": event_bodies.TOO_MANY_NESTED}
    assert (answer.status_code, answer.json()["data"]) == (413, expected)
    assert time.process_time() - began < on_this_machine(3)


def test_deep_and_long_objects_are_refused_by_themselves(call, acme):
    deep = b'{"id":' + b"[" * 20_000 + b"]" * 20_000 + b"}"
    long = gzip.compress(b'{"a":[' + b'"abc",' * 1_000_000 + b"1]}")
    began = time.process_time()
    answer = post(call, acme.key, deep + b"\n" + json.dumps(one()).encode()).json()["data"]
    assert answer == document(1, refused=remarks((0, "invalid_json", "The line is not JSON")))
    answer = post(call, acme.key, long).json()["data"]
    assert answer == document(refused=remarks((0, "line_too_long", "A line may have 65536 bytes")))
    assert time.process_time() - began < on_this_machine(SECONDS)


def test_the_most_refusals_that_are_accepted(call, acme):
    began = time.process_time()
    answer = post(call, acme.key, b"{}\n" + b"1\n" * (event_bodies.MOST_RECORDS - 1)).json()
    assert (len(answer["data"]["refused"]), answer["flags"]) == (10_000, {"truncated": True})
    assert time.process_time() - began < on_this_machine(SECONDS)


@pytest.mark.storage
def test_the_most_text_that_is_accepted(call, acme):
    """Replies take their time by length, most where each is its own."""
    body = b"".join(bounce(number, 1_000 if number < 2_000 else 0) for number in range(25_000))
    began = time.process_time()
    assert post(call, acme.key, gzip.compress(body, 1)).json()["status"] == "success"
    assert time.process_time() - began < on_this_machine(SECONDS)


def test_a_window_of_zstd_is_bounded(call, acme):
    """A window of 128 MiB would be held in memory."""
    window = framing.zstd.CompressionParameter.window_log
    for size, expected in ((20, "success"), (27, "parameter-error")):
        packer = framing.zstd.ZstdCompressor(options={window: size})
        body = packer.compress(b"{}\n" * 100) + packer.flush()
        answer = post(call, acme.key, body).json()
        assert answer["status"] == expected, size


def greek(number: int) -> str:
    """Return a domain of its own for each number, which is not ASCII."""
    return "".join(chr(0x3B1 + int(digit)) for digit in f"{number:09}") * 4 + ".example"


def words(number: int, length: int) -> str:
    return f"550 no user{number} here {number * 7}: " + "mailbox unavailable, " * (length // 21)


# What takes long by what it says, in each way by which it can be said: a body of few bytes.
SAID: dict[str, Callable[[int], dict[str, Any]]] = {
    "recipients": lambda n: {"to": f"u@{greek(n)}"},
    "senders": lambda n: {"from": f"u@{greek(n)}"},
    "domains": lambda n: {"domain": greek(n)},
    "replies": lambda n: {"reply": words(n, 900)},
}


@pytest.mark.parametrize("escaped", [False, True])
@pytest.mark.parametrize("name", SAID)
def test_work_is_bounded_by_what_events_say_however_they_are_written(call, acme, name, escaped):
    """5,000 events with domains that are not ASCII took 7 seconds, 50,000 more than a minute."""
    events = [{"id": str(n), "type": "bounced", "at": 1_790_000_000, **SAID[name](n)} for n in range(15_000)]
    message = effort.REPLIES if name == "replies" else effort.INTERNATIONAL
    body = json.dumps(events, ensure_ascii=escaped).encode()
    began = time.process_time()
    answer = post(call, acme.key, body)
    assert (answer.status_code, answer.json()["data"]) == (413, {"code": "RequestTooLarge", "message": message})
    assert time.process_time() - began < on_this_machine(SECONDS)
    # In parts it is taken, and the same once more costs nothing.
    assert post(call, acme.key, json.dumps(events[:1_000]).encode()).json()["status"] == "success"


def record(form: str, number: int, *, names: bool) -> dict[str, Any]:
    """Return a record of an event source with a domain of its own that is not ASCII, or a reply of its own."""
    to = f"u@{greek(number)}" if names else f"u@d{number}.example"
    at, reply = "2026-09-21T14:13:20Z", words(number, 0 if names else 900)
    if form == "sendgrid":
        return {"event": "bounce", "sg_event_id": f"{number}", "timestamp": at, "email": to, "reason": reply}
    mail = {"timestamp": at, "messageId": f"{number}", "source": "a@acme.example"}
    parties = [{"emailAddress": to, "diagnosticCode": reply}]
    bounce = {"bounceType": "Permanent", "timestamp": at, "bouncedRecipients": parties}
    return {"eventType": "Bounce", "mail": mail, "bounce": bounce}


@pytest.mark.parametrize("form", ["sendgrid", "ses"])
@pytest.mark.parametrize("names", [True, False])
def test_work_is_bounded_for_event_sources(call, acme, form, names):
    """45,000 replies of a thousand characters took 20 seconds: bytes were counted in the native format alone."""
    source = event_sources.make_source(name="Service", format=form, default_server=acme.server, actor=ACTOR)
    body = "\n".join(json.dumps(record(form, n, names=names)) for n in range(15_000)).encode()
    began = time.process_time()
    answer = post(call, source.token, gzip.compress(body, 1))
    message = effort.INTERNATIONAL if names else effort.REPLIES
    assert (answer.status_code, answer.json()["data"]["message"]) == (413, message)
    assert time.process_time() - began < on_this_machine(SECONDS)


@pytest.mark.storage
def test_the_deliveries_of_webhooks_are_bounded(call, acme):
    """A tenant's 10,000 webhooks and 50,000 events of one request would have been 500 million rows of one transaction."""
    Webhook.objects.bulk_create(
        Webhook(server=acme.server, name="Hook", url=f"https://hooks.example/{number}") for number in range(200)
    )
    events = [{"id": str(n), "type": "sent", "at": 1_790_000_000} for n in range(101)]
    answer = post(call, acme.key, json.dumps(events).encode())
    expected = {"code": "RequestTooLarge", "message": effort.DELIVERIES}
    assert (answer.status_code, answer.json()["data"]) == (413, expected)
    assert (Event.objects.count(), Delivery.objects.count()) == (0, 0)
    # Fewer events at once are taken.
    assert post(call, acme.key, json.dumps(events[:10]).encode()).json()["data"] == document(10)
    assert (Event.objects.count(), Delivery.objects.count()) == (10, 2_000)


@pytest.mark.storage
def test_the_recipients_that_a_request_suppresses_are_bounded(call, acme, monkeypatch):
    """45,000 bounces of one request, each of another mailbox, took more than five seconds of a processor."""
    monkeypatch.setattr(effort, "MOST_SUPPRESSIONS", 20)

    def bounces(first, last):
        reply = {"type": "bounced", "at": 1_790_000_000, "reply": "550 5.1.1 No such user"}
        return [{**reply, "id": str(n), "to": f"ann{n}@there.example"} for n in range(first, last)]

    answer = post(call, acme.key, json.dumps(bounces(0, 21)).encode())
    expected = {"code": "RequestTooLarge", "message": effort.SUPPRESSIONS}
    assert (answer.status_code, answer.json()["data"]) == (413, expected)
    assert Event.objects.count() == 0
    for first in (0, 20):
        assert post(call, acme.key, json.dumps(bounces(first, first + 20)).encode()).json()["data"] == document(20)
    # What was stored before is not counted again.
    assert post(call, acme.key, json.dumps(bounces(0, 40)).encode()).json()["data"]["duplicates"] == 40


def test_long_domains_are_not_remembered():
    before = mailboxes._domain_of.cache_info().currsize
    assert mailboxes.domain_of("a" * 60_000) is None
    assert mailboxes._domain_of.cache_info().currsize == before


@pytest.mark.parametrize("form", ["ses", "kumomta"])
def test_the_recipients_of_a_record_are_bounded(call, acme, form):
    """Two kilobytes of gzip, one record with a million recipients, took 14 seconds and a gigabyte."""
    source = event_sources.make_source(name="Service", format=form, default_server=acme.server, actor=ACTOR)
    one = record("ses", 1, names=False) if form == "ses" else {"type": "Bounce", "id": "x", "timestamp": 1_790_000_000}
    (one["bounce"] if form == "ses" else one)["bouncedRecipients" if form == "ses" else "recipient"] = [1] * 900_000
    began = time.process_time()
    answer = post(call, source.token, gzip.compress(json.dumps([one], separators=(",", ":")).encode()))
    refused = remarks((0, "too_many_recipients", "A record must not have more than 5,000 recipients"))
    assert answer.json()["data"] == document(refused=refused)
    assert time.process_time() - began < on_this_machine(1)


def test_columns_and_long_words_are_bounded(call, acme):
    """1,500 rows of 8,000 columns took 7 seconds, 600 long words of KumoMTA's own 9: from 33 and 102 KiB."""
    rows = b"type,timeLogged,orig,rcpt" + b",c" * 8_000 + b"\n" + (b"b,x,y,z" + b"," * 8_000 + b"\n") * 1_500
    source = event_sources.make_source(name="Rows", format="powermta", default_server=acme.server, actor=ACTOR)
    began = time.process_time()
    answer = post(call, source.token, gzip.compress(rows, 1)).json()["data"]
    assert {each["message"] for each in answer["refused"]} == {"A row must not have more than 500 fields"}
    assert (len(answer["refused"]), answer["accepted"]) == (1_501, 0)
    own = {"type": "TransientFailure", "timestamp": 1_790_000_000, "recipient": "a@x.example"}
    said = {"response": {"content": "KumoMTA internal: " + "memory " * 8_000}}
    body = b"\n".join(json.dumps({**own, **said, "id": str(number)}).encode() for number in range(600))
    source = event_sources.make_source(name="Words", format="kumomta", default_server=acme.server, actor=ACTOR)
    answer = post(call, source.token, gzip.compress(body, 1)).json()["data"]
    assert answer == {**document(), "ignored": 600}
    assert time.process_time() - began < on_this_machine(SECONDS)
