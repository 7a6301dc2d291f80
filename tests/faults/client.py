"""What callers see: requests by HTTP to a running panel, each answer read strictly in its dialect."""

import base64
import http.client
import json
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

# Longer than the panel may take to say that it cannot: what takes longer is not refused, but hangs.
PATIENCE = 30
# GreenArrow's page has no word of its own for it; the status says it.
GREENARROW_UNAVAILABLE = "internal_error"


@dataclass(frozen=True)
class Answer:
    """One answer, and how long it took."""

    status: int
    headers: http.client.HTTPMessage
    body: Any
    seconds: float

    @property
    def is_success(self) -> bool:
        """Accepted, in either dialect: a client may rely on it."""
        return self.status == 200 and isinstance(self.body, dict) and self.body.get("status", "success") == "success"

    @property
    def is_unavailable(self) -> bool:
        """Refused as the dialects refuse what may succeed in a moment: 503, their own word, and when to come again."""
        if self.status != 503 or not self.headers.get("Retry-After", "").isdecimal() or not isinstance(self.body, dict):
            return False
        postal = self.body.get("status") == "error" and self.body["data"]["code"] == "Unavailable"
        greenarrow = self.body.get("success") is False and self.body.get("error_code") == GREENARROW_UNAVAILABLE
        return postal or greenarrow


@dataclass
class Client:
    """A caller of one panel. Every request has a connection of its own: what the server does to old ones is not asked."""

    url: str
    key: str = ""
    token: str = ""
    # Requests that got no answer at all: the process died, or was killed, under them.
    broken: list[str] = field(default_factory=list)

    def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer | None:
        """Return the answer, or None where the connection broke before there was one."""
        place = urlsplit(self.url)
        connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=PATIENCE)
        began = time.perf_counter()
        sent = {"Content-Type": "application/json", **(headers or {})}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), sent)
            response = connection.getresponse()
            raw = response.read()
        except TimeoutError as error:
            raise AssertionError(f"{method} {path} had no answer within {PATIENCE} s") from error
        except (http.client.HTTPException, ConnectionError, socket.gaierror) as error:
            self.broken.append(repr(error))
            return None
        finally:
            connection.close()
        seconds = time.perf_counter() - began
        is_json = response.headers.get_content_type() == "application/json"
        return Answer(response.status, response.headers, json.loads(raw) if is_json else raw.decode(), seconds)

    def postal(self, path: str, body: Any = None) -> Answer | None:
        """POST to Postal's dialect with the server's key."""
        return self.ask("POST", f"/api/v1/{path}", {} if body is None else body, {"X-Server-API-Key": self.key})

    def greenarrow(self, method: str, path: str, body: Any = None, password: str = "") -> Answer | None:
        """Speak GreenArrow's dialect as the user `operator`, by token or by a password."""
        pair = base64.b64encode(f"operator:{password or self.token}".encode()).decode()
        return self.ask(method, f"/ga/api/v3/eng/{path}", body, {"Authorization": f"Basic {pair}"})

    def readiness(self) -> tuple[int, dict[str, str]]:
        """Return what /readyz says."""
        answer = self.ask("GET", "/readyz")
        assert answer is not None, "/readyz broke off"
        return answer.status, answer.body["checks"]

    def is_ready(self) -> bool:
        answer = self.ask("GET", "/readyz")
        return answer is not None and answer.status == 200


def wait_until(is_true: Callable[[], bool], *, seconds: float, what: str) -> float:
    """Return how long it took until it was so."""
    began = time.monotonic()
    while not is_true():
        assert time.monotonic() - began < seconds, f"After {seconds} s still not: {what}"
        time.sleep(0.1)
    return time.monotonic() - began
