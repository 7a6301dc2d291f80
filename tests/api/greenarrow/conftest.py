"""The cast: operators of the four API levels, and a caller that holds every answer against the envelope."""

import base64
import json
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from core.audit import Actor
from core.models import User
from core.tokens import create_token
from ippools.models import IPAddress
from tests.api.greenarrow.documented import assert_documented
from tests.words import ip_addresses, templates
from throttling.models import ThrottlingTemplate

ROOT = "/ga/api/v3/eng/"
SYSTEM = Actor.system()
PASSWORD = "correct horse battery"


def basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def make_user(username: str, level: str, **kwargs: Any) -> User:
    user = User(username=username, api_level=level, **kwargs)
    user.set_password(PASSWORD)
    user.save()
    return user


def make_token(user: User, **kwargs: Any) -> str:
    arguments = {"name": "tests", "expires_at": None, "at": timezone.now(), "actor": SYSTEM, **kwargs}
    return create_token(user=user, **arguments).key


class Caller:
    """A client of the API with a user's token. Answers are whole envelopes."""

    def __init__(self, authorization: str | None) -> None:
        self.client = Client(raise_request_exception=False)
        self.authorization = authorization

    def raw(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        status: int = 200,
        content_type: str = "application/json",
        **headers: str,
    ) -> dict[str, Any]:
        if self.authorization is not None:
            headers.setdefault("Authorization", self.authorization)
        response = self.client.generic(method, ROOT + path, body, content_type=content_type, headers=headers)
        assert response.status_code == status, response.content
        assert response["Content-Type"] == "application/json"
        envelope = response.json()
        assert list(envelope) == ["success", "data", "error_code", "error_messages"]
        if envelope["success"]:
            assert status == 200
            assert (envelope["error_code"], envelope["error_messages"]) == (None, None)
        else:
            assert all(isinstance(each, str) and each for each in envelope["error_messages"])
            assert envelope["error_messages"]
        assert_documented(ROOT + path, method, status, envelope)
        self.response = response
        return envelope

    def __call__(self, method: str, path: str, payload: Any = None, *, status: int = 200) -> dict[str, Any]:
        return self.raw(method, path, b"" if payload is None else json.dumps(payload).encode(), status=status)

    def data(self, method: str, path: str, payload: Any = None) -> Any:
        """Return the data of a success."""
        return self(method, path, payload)["data"]

    def faults(self, method: str, path: str, payload: Any) -> list[str]:
        """Return the sentences of a refused validation."""
        envelope = self(method, path, payload, status=422)
        assert (envelope["data"], envelope["error_code"]) == (None, "validation_failed")
        return envelope["error_messages"]


def refusal(code: str, *messages: str, data: Any = None) -> dict[str, Any]:
    return {"success": False, "data": data, "error_code": code, "error_messages": list(messages)}


def success(data: Any) -> dict[str, Any]:
    return {"success": True, "data": data, "error_code": None, "error_messages": None}


@pytest.fixture
def operator(db) -> User:
    return make_user("operator", "yes")


@pytest.fixture
def call(operator) -> Caller:
    return Caller(basic("operator", make_token(operator)))


@pytest.fixture
def template(db) -> ThrottlingTemplate:
    return templates.create(
        {
            "name": "Basic Throttling Template",
            "default": {"max_concurrent_connections": 10, "max_messages_per_hour": 1000},
        },
        actor=SYSTEM,
    )


@pytest.fixture
def address(template) -> IPAddress:
    """The address of the page's example of `show`."""
    return ip_addresses.create(
        {
            "name": "ipaddr-1",
            "ipv4": "10.0.0.28",
            "hostname": "hostname-28.com",
            "throttling_template": {"id": template.pk},
            "rules": [
                {
                    "domains": ["ip1-domain1.com", "ip1-domain2.com"],
                    "max_concurrent_connections": 2,
                    "max_messages_per_hour": 70,
                },
                {
                    "domains": ["ip1-domain3.com", "ip1-domain4.com"],
                    "max_concurrent_connections": 0,
                    "max_messages_per_hour": 20,
                },
            ],
        },
        actor=SYSTEM,
    )
