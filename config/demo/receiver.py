"""The demo's receiver of webhooks, as a customer would write it: it verifies signatures by the published keys."""

import base64
import datetime
import http.server
import json
import secrets
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from django.utils import timezone

from config.demo.platform import ACTOR
from servers import webhooks
from servers.models import Server, Webhook
from stats.intake.directory import Reporter
from stats.intake.ingest import ingest
from webhooks import deliveries, leases, sending, signing
from webhooks.models import Delivery

OWNER, SERVER = "northwind", "Orders"
NAME, HOST = "Receiver of the demo", "127.0.0.1"
# Seconds. A worker of the running panel may take the deliveries first: it may not call the loopback, and they are sent again.
_LONGEST = 60.0
_MOST_BODY = 1024 * 1024
REPLIES = {"sent": "250 2.0.0 OK", "deferred": "451 4.7.1 Try again later", "bounced": "550 5.1.1 No such user"}


@dataclass(frozen=True, slots=True)
class Received:
    """A call: the delivery's UUID, its event, and whether one of the platform's keys signed it."""

    uuid: str
    event: str
    recipient: str
    kid: str
    is_signed: bool


class Receiver:
    """A web server on the loopback, while it is entered. `keys` is the document of `/.well-known/jwks.json`."""

    def __init__(self, keys: Mapping[str, Sequence[Mapping[str, str]]]) -> None:
        self.got: list[Received] = []
        self._keys = {each["kid"]: _public(each) for each in keys["keys"]}
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 10

            def do_POST(self) -> None:
                body = self.rfile.read(min(int(self.headers.get("Content-Length", 0)), _MOST_BODY))
                receiver.got.append(receiver.read(body, dict(self.headers)))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *args: object) -> None:
                """Say nothing: the command does."""

        self._server = http.server.ThreadingHTTPServer((HOST, 0), Handler)
        self.url = f"http://{HOST}:{self._server.server_address[1]}/webhooks"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def read(self, body: bytes, headers: Mapping[str, str]) -> Received:
        """Return what a call says, and whether its signature is the platform's."""
        kid = headers.get("X-Postal-Signature-KID", "")
        is_signed = False
        if kid in self._keys:
            signature = base64.b64decode(headers.get("X-Postal-Signature-256", ""))
            try:
                self._keys[kid].verify(signature, body, padding.PKCS1v15(), hashes.SHA256())
                is_signed = True
            except InvalidSignature:
                pass
        told = json.loads(body)
        return Received(
            uuid=told["uuid"],
            event=told["event"],
            recipient=told["payload"].get("message", {}).get("to") or "",
            kid=kid,
            is_signed=is_signed,
        )


def show(server: Server) -> list[Received]:
    """Let a webhook of the server be called for three events, and return what its receiver got within a minute."""
    with Receiver(signing.key_set(signing.published(at=timezone.now()))) as receiver:
        with _webhook(server, receiver.url) as webhook:
            # Until our own run is next, the panel's calls nothing here.
            holder = secrets.token_hex(8)
            leases.take(f"host:{HOST}", holder, at=timezone.now())
            number = _report(server, timezone.now())
            leases.give_back([f"host:{HOST}"], holder)
            ends = time.monotonic() + _LONGEST
            while len({each.uuid for each in receiver.got}) < number and time.monotonic() < ends:
                for failed in Delivery.objects.waiting().filter(
                    webhook=webhook, attempts__gt=0, due_at__gt=timezone.now()
                ):
                    deliveries.send_again(delivery=failed, at=timezone.now(), actor=ACTOR)
                sending.run(clock=timezone.now, seconds=5.0)
                time.sleep(0.2)
        return list({each.uuid: each for each in receiver.got}.values())


@contextmanager
def _webhook(server: Server, url: str) -> Iterator[Webhook]:
    """Have a webhook that calls a URL meanwhile; then it is disabled, for its receiver is gone."""
    found = Webhook.objects.filter(server=server, name=NAME).first()
    columns = {"url": url, "events": [], "enabled": True, "sign": True}
    if found is None:
        found = webhooks.create_webhook(server=server, actor=ACTOR, name=NAME, **columns)
    else:
        found = webhooks.change_webhook(webhook=found, actor=ACTOR, **columns)
    try:
        yield found
    finally:
        webhooks.change_webhook(webhook=found, actor=ACTOR, enabled=False)


def _report(server: Server, at: datetime.datetime) -> int:
    """Report a message that is sent, one that is deferred and one that bounces; return how many events there are."""
    which = secrets.token_hex(4)
    events = [
        {
            "id": f"{which}-{kind}",
            "type": kind,
            "at": at.isoformat(),
            "from": "orders@northwind.example",
            "to": f"{kind}-{which}@mailbox.example",
            "reply": reply,
        }
        for kind, reply in REPLIES.items()
    ]
    return ingest(events, reporter=Reporter(server), now=at).accepted


def _public(key: Mapping[str, str]) -> rsa.RSAPublicKey:
    return rsa.RSAPublicNumbers(_number(key["e"]), _number(key["n"])).public_key()


def _number(text: str) -> int:
    return int.from_bytes(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), "big")
