"""POST /api/v1/events by event sources: their three ways of naming the token, their statuses, and that no log has the token."""

import base64
import datetime
import io
import json
import logging
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from django.test import Client

from config.logs import configure
from core import lockout
from servers.models import DomainVerification, Server
from stats.intake import event_sources
from stats.models import Event, EventSource
from tests.api.postal.conftest import NOW
from tests.api.postal.test_events import document, lines, one, remarks, some
from tests.stats.conftest import ACTOR

pytestmark = [pytest.mark.storage, pytest.mark.django_db]

EVENTS = "/api/v1/events"


@pytest.fixture(autouse=True)
def pokes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.postal.events.request_fold", lambda: None)


@pytest.fixture
def source(acme) -> event_sources.MadeSource:
    return event_sources.make_source(name="Node", format="native", default_server=acme.server, actor=ACTOR)


def basic(token: str) -> str:
    return f"Basic {base64.b64encode(f'sluice:{token}'.encode()).decode()}"


def post(token: str = "", body: bytes = b"[]", *, path: str = EVENTS, **headers: str) -> Any:
    return Client().post(path, body, content_type="application/json", headers=headers)


def ways(token: str) -> dict[str, dict[str, str]]:
    return {
        "url": {"path": f"{EVENTS}/{token}"},
        "url with a slash": {"path": f"{EVENTS}/{token}/"},
        "header": {"X-Server-API-Key": token},
        "basic": {"Authorization": basic(token)},
    }


@pytest.mark.parametrize("way", ways(""))
def test_it_works(call, acme, source, way):
    answer = post(body=lines([one(), one(), one(id="2", type="lost")]), **ways(source.token)[way])
    assert answer.status_code == 200
    types = "type must be one of incoming, sent, deferred, bounced, held, spam, complaint, late_bounce"
    assert answer.json()["data"] == document(1, 1, refused=remarks((2, "unknown_type", types)))
    assert list(Event.objects.values_list("server_id", flat=True)) == [acme.server.pk]
    assert EventSource.objects.get().last_used_at == NOW


@pytest.mark.parametrize("way", ways(""))
def test_a_wrong_token_is_told_by_the_status_too(call, acme, source, way, monkeypatch):
    event_sources.revoke_source(source=source.source, at=NOW, actor=ACTOR)
    for token in ("wrong", source.token):
        answer = post(**ways(token)[way])
        # In the header it may be a server's key: Postal's document says 200.
        assert answer.status_code == (200 if way == "header" else 401)
        assert answer.json()["data"]["code"] == "InvalidServerAPIKey"
    monkeypatch.setattr(lockout, "WRONG_KEYS_OF_ADDRESS", 0)
    assert post(**ways("wrong")[way]).status_code == 429


def test_a_servers_key_is_no_sources_token(call, acme):
    assert post(path=f"{EVENTS}/{acme.key}").status_code == 401
    assert post(Authorization=basic(acme.key)).status_code == 401
    for header in ("Basic x", "Basic", "Basic " + base64.b64encode(b"nocolon").decode(), "Basic \xff"):
        assert post(Authorization=header).json()["data"]["code"] == "AccessDenied"


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"[", {}, 200),
        (b"\x1f\x8b broken", {}, 400),
        (b"x", {"Content-Encoding": "br"}, 400),
        (b" " * (16 * 2**20 + 1), {}, 413),
    ],
)
def test_what_cannot_be_read(call, source, body, headers, status):
    answer = post(body=body, path=f"{EVENTS}/{source.token}", **headers)
    assert answer.status_code == status
    assert Event.objects.count() == 0


def test_a_signature_is_asked_for_where_a_key_is_given(call, acme):
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    made = event_sources.make_source(
        name="Postal", format="postal", default_server=acme.server, verification_key=pem.decode(), actor=ACTOR
    )
    message = {"id": 1, "to": "x@big.example", "from": "a@acme.example", "timestamp": NOW.timestamp()}
    payload = {"message": message, "status": "Sent", "details": "x", "output": "250 ok", "timestamp": NOW.timestamp()}
    body = json.dumps({"event": "MessageSent", "timestamp": NOW.timestamp(), "payload": payload, "uuid": "u"}).encode()
    signature = private.sign(body, padding.PKCS1v15(), hashes.SHA256())
    signed = {"X-Postal-Signature-256": base64.b64encode(signature).decode(), "X-Postal-Signature-KID": "x"}
    path = f"{EVENTS}/{made.token}"
    for headers in ({}, {**signed, "X-Postal-Signature-256": base64.b64encode(b"x" * 256).decode()}):
        answer = post(body=body, path=path, **headers)
        assert (answer.status_code, answer.json()["data"]["code"]) == (403, "InvalidSignature")
    assert Event.objects.count() == 0
    assert post(body=body, path=path, **signed).json()["data"]["accepted"] == 1


def test_a_named_and_unknown_tenant_is_refused_also_with_a_default_server(call, acme, source):
    answer = post(
        body=lines([one(server="acme/none"), one(server="globex/none"), one()]), path=f"{EVENTS}/{source.token}"
    )
    unknown = ("unknown_server", "The server could not be found")
    assert answer.json()["data"] == document(1, refused=remarks((0, *unknown), (1, *unknown)))


def test_a_domain_that_went_on_to_another_organization_counts_for_each_in_its_time(acme, globex):
    made = event_sources.make_source(name="Nameless", format="native", actor=ACTOR)
    hour = datetime.timedelta(hours=1)
    DomainVerification.objects.create(
        server=acme.server, name="acme.example", since=NOW - 9 * hour, until=NOW - 4.5 * hour
    )
    events = [
        {"id": str(number), "type": "sent", "at": (NOW - number * hour).isoformat(), "to": "x@gmail.com"}
        | {"from": "news@acme.example"}
        for number in range(1, 12)
    ]
    theirs, nobodys, mine = events[:2], events[2:4], events[4:]
    way = ways(made.token)["header"]
    unknown = "server is left out: it must be the UUID or the SMTP user of a server"
    answer = post(body=lines(mine + nobodys), **way)
    refused = remarks((7, "unknown_server", unknown), (8, "unknown_server", unknown))
    assert answer.json()["data"] == document(7, refused=refused)
    DomainVerification.objects.create(server=globex.server, name="acme.example", since=NOW - 2 * hour)
    # All of it again: what the other organization had is a duplicate, and what nobody had stays refused.
    answer = post(body=lines(mine + nobodys + theirs), **way)
    assert answer.json()["data"] == document(2, 7, refused=refused)
    counted = Event.objects.values_list("server_id", flat=True)
    assert sorted(counted) == sorted([globex.server.pk] * 2 + [acme.server.pk] * 7)


def test_get_is_not_allowed_and_tells_no_token(call, source):
    answer = Client().get(f"{EVENTS}/{source.token}")
    assert (answer.status_code, source.token in answer.content.decode()) == (405, False)


# --- the token is in no log ---------------------------------------------------------------------------------------------


@pytest.fixture
def everything(settings):
    """What all loggers write at DEBUG, by the production's own configuration."""
    stream = io.StringIO()
    before = logging.root.handlers[:], logging.root.level
    whole = configure(form="json", level="DEBUG")
    whole["handlers"]["stderr"]["stream"] = stream
    logging.config.dictConfig(whole)
    yield stream
    logging.root.handlers[:], level = before
    logging.root.setLevel(level)
    from django.conf import settings as current

    logging.config.dictConfig(current.LOGGING)


def test_no_log_has_the_token(call, acme, source, everything, monkeypatch):
    token = source.token
    post(body=lines(some(3)), path=f"{EVENTS}/{token}")
    post(body=b"[", path=f"{EVENTS}/{token}")
    post(path=f"{EVENTS}/{token}/x")
    post(path=f"/api/v1/events//{token}")
    post(path=f"/api/v1/nothing/{token}")
    # As people mistype it.
    for path in ("/events", "/api/v2/events", "/api/v1/./events", "/api/v1/events;", "/x/api/events"):
        post(path=f"{path}/{token}")
    Client().get(f"{EVENTS}/{token}")
    Server.objects.update(deleted_at=NOW)
    monkeypatch.setattr("api.postal.events.deliver", lambda *args, **kwargs: 1 / 0)
    Client(raise_request_exception=False).post(f"{EVENTS}/{token}", b"{}", content_type="application/json")
    # As gunicorn writes at DEBUG, and when it cannot read a request.
    logging.getLogger("gunicorn.error").debug("%s %s", "POST", f"{EVENTS}/{token}")
    logging.getLogger("gunicorn.error").warning("Invalid request: 'POST /api/v1/%s/%s HTTP/1.1'", "%65vents", token)
    logging.getLogger("django.server").info('"POST %s HTTP/1.1" 200 5', f"{EVENTS}/{token}?a=1")
    written = everything.getvalue()
    assert "request_finished" in written
    assert "[removed]" in written
    assert json.dumps(token)[1:-1] not in written
    assert "/api/v1/events" in written


def test_no_metric_has_the_token(call, source):
    post(path=f"{EVENTS}/{source.token}")
    page = Client().get("/metrics").content.decode()
    assert "sluice_http_request_seconds" in page
    assert source.token not in page
