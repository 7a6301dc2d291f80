"""What a body for an event source may cost: readers unpack, and pass over, more than events of our own have."""

import gzip
import time

import pytest

from api.postal import event_bodies
from stats.intake import event_sources
from stats.intake.sources import framing
from tests.api.postal.test_events import post
from tests.fuzz.bodies import OF_SOURCES
from tests.slowness import on_this_machine
from tests.stats.conftest import ACTOR

pytestmark = pytest.mark.django_db

SECONDS = 5


@pytest.fixture(autouse=True)
def pokes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.postal.events.request_fold", lambda: None)


def token_of(acme, form):
    return event_sources.make_source(name=form, format=form, default_server=acme.server, actor=ACTOR).token


# A log, columns and objects: the readers of the other formats are made of the same parts.
@pytest.mark.parametrize("form", ["postfix", "powermta", "sendgrid"])
def test_no_body_takes_long_however_its_lines_end_and_whatever_is_before_it(call, acme, form):
    """A kilobyte that was packed twice took 12 seconds of a thread, two megabytes of carriage returns 28."""
    token = token_of(acme, form)
    for name, make in OF_SOURCES.items():
        body = make()
        began = time.process_time()
        answer = post(call, token, body)
        assert answer.status_code in (200, 400, 413), (name, answer.content[:200])
        assert time.process_time() - began < on_this_machine(SECONDS), name


@pytest.mark.parametrize("pack", [gzip.compress, framing.zstd.compress])
@pytest.mark.parametrize("encoding", ["", "gzip", "zstd"])
def test_what_is_packed_twice_is_refused(call, acme, pack, encoding):
    outer = {"": pack, "gzip": gzip.compress, "zstd": framing.zstd.compress}[encoding]
    headers = {"Content-Encoding": encoding} if encoding else {}
    for key in (acme.key, token_of(acme, "postfix")):
        answer = post(call, key, outer(pack(b"{}")), **headers)
        assert answer.json()["data"]["message"] == event_bodies.PACKED_TWICE


@pytest.mark.parametrize("before", [b"\0", b"\0\n" * 50_000, b" " * 100_000, framing.BOM * 2, b"\0" + framing.BOM])
def test_an_array_is_bounded_whatever_is_before_it(call, acme, before):
    answer = post(call, token_of(acme, "sendgrid"), before + b"[" + b"1," * event_bodies.MOST_VALUES + b"1,1]")
    assert (answer.status_code, answer.json()["data"]["message"]) == (413, event_bodies.TOO_MANY_VALUES)


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_as_many_lines_as_events_are_read(call, acme, end):
    token = token_of(acme, "postfix")
    assert post(call, token, b"x" + end * event_bodies.MOST_RECORDS).status_code == 200
    answer = post(call, token, b"x" + end * (event_bodies.MOST_RECORDS + 1))
    assert (answer.status_code, answer.json()["data"]["message"]) == (413, event_bodies.TOO_MANY_RECORDS)
