"""What the tests of Postal's dialect share: a clock that stands, a client, and the documents' examples."""

import json
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.test import Client

from api.postal.openapi import EXAMPLES
from tests.api.postal.documented import assert_documented
from tests.cast import NOW, SYSTEM, Tenant, make_pool, make_server

__all__ = ["NOW", "SYSTEM", "Tenant", "make_pool", "make_server"]
GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(autouse=True)
def _frozen():
    with time_machine.travel(NOW, tick=False):
        yield


class Caller:
    """A client of the API. Answers are whole envelopes; `time` is checked and taken out."""

    def __init__(self) -> None:
        self.client = Client(raise_request_exception=False)

    def __call__(
        self, path: str, payload: Any = None, *, key: str | None = None, method: str = "POST", status: int = 200
    ) -> dict[str, Any]:
        body = b"" if payload is None else json.dumps(payload).encode()
        return self.raw(path, body, key=key, method=method, status=status)

    def raw(
        self,
        path: str,
        body: bytes = b"",
        *,
        key: str | None = None,
        method: str = "POST",
        content_type: str = "application/json",
        status: int = 200,
        encoding: str | None = None,
    ) -> dict[str, Any]:
        headers = {} if key is None else {"X-Server-API-Key": key}
        if encoding is not None:
            headers["Content-Encoding"] = encoding
        response = self.client.generic(method, f"/api/v1/{path}", body, content_type=content_type, headers=headers)
        assert response.status_code == status, response.content
        assert response["Content-Type"] == "application/json"
        envelope = response.json()
        assert list(envelope) == ["status", "time", "flags", "data"]
        assert isinstance(envelope["time"], float)
        assert_documented(f"/api/v1/{path}", method, status, envelope)
        assert 0 <= envelope.pop("time") < 30
        return envelope


@pytest.fixture
def call():
    return Caller()


def golden(name: str) -> dict[str, Any]:
    """Return an example of the documents, as they have it, without `time`; the IP Pools page omits `flags`."""
    document = json.loads((GOLDEN / f"{name}.json").read_text())
    document.pop("time", None)
    return {"status": document["status"], "flags": {}, "data": document["data"]}


def error(code: str, message: str) -> dict[str, Any]:
    return {"status": "error", "flags": {}, "data": {"code": code, "message": message}}


def parameter_error(message: str) -> dict[str, Any]:
    return {"status": "parameter-error", "flags": {}, "data": {"message": message}}


def success(data: dict[str, Any]) -> dict[str, Any]:
    return {"status": "success", "flags": {}, "data": data}


NO_KEY = error("AccessDenied", "Must be authenticated as a server.")
WRONG_KEY = error("InvalidServerAPIKey", "The API token provided in X-Server-API-Key was not valid.")
SUSPENDED = error("ServerSuspended", "The mail server has been suspended")


def golden_family(name: str = "", *, text: str = "", as_text: bool = False) -> Any:
    """Return one of our own examples, which OpenAPI shows for the endpoints that the two documents do not have."""
    text = text or (EXAMPLES / f"{name}.json").read_text()
    if as_text:
        return text
    document = json.loads(text)
    del document["time"]
    return document
