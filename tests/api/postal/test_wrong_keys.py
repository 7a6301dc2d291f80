"""Wrong API keys, one after another: limited per key and per address, and never in the way of a right one."""

import json

import pytest
from django.core.cache import cache
from django.test import Client
from redis.exceptions import ConnectionError as CacheAway

from core import lockout
from tests.cast import Tenant

WRONG = {"code": "InvalidServerAPIKey", "message": "The API token provided in X-Server-API-Key was not valid."}
TOO_MANY = {"code": "TooManyRequests", "message": "Too many requests with a wrong API token; try again later"}


def ask(key, path="/api/v1/servers/list", address="192.0.2.9"):
    answer = Client().post(
        path, "{}", content_type="application/json", headers={"X-Server-API-Key": key}, REMOTE_ADDR=address
    )
    body = json.loads(answer.content)
    body.pop("time")
    return answer, body


@pytest.mark.parametrize("path", ["/api/v1/servers/list", "/api/v1/servers/create", "/api/v1/events"])
def test_it_works(acme: Tenant, monkeypatch, path):
    monkeypatch.setattr(lockout, "WRONG_KEYS_OF_KEY", 2)
    for _ in range(2):
        answer, body = ask("wrong", path)
        assert (answer.status_code, body) == (200, {"status": "error", "flags": {}, "data": WRONG})
    answer, body = ask("wrong", path)
    assert (answer.status_code, body) == (429, {"status": "error", "flags": {}, "data": TOO_MANY})
    assert answer["Retry-After"] == "300"
    assert ask("wrong", path, address="192.0.2.10")[1]["data"] == WRONG


def test_a_right_key_works_from_an_address_that_tried_too_many(acme: Tenant, monkeypatch):
    monkeypatch.setattr(lockout, "WRONG_KEYS_OF_ADDRESS", 1)
    ask("wrong")
    assert ask("another")[1]["data"] == TOO_MANY
    assert ask(acme.key)[1]["status"] == "success"


def test_an_ingest_token_is_no_wrong_key(acme: Tenant, monkeypatch):
    from core.audit import Actor
    from stats.intake.tokens import make_ingest_token

    key = make_ingest_token(name="collector", actor=Actor.system()).key
    monkeypatch.setattr(lockout, "WRONG_KEYS_OF_KEY", 0)
    answer = Client().post("/api/v1/events", "[]", content_type="application/json", headers={"X-Server-API-Key": key})
    assert answer.json()["data"] == {
        "accepted": 0,
        "duplicates": 0,
        "ignored": 0,
        "conflicts": [],
        "warnings": [],
        "refused": [],
    }


def test_without_the_counts_a_wrong_key_is_just_wrong(acme: Tenant, monkeypatch):
    def away(*_: object, **__: object) -> None:
        raise CacheAway("refused")

    monkeypatch.setattr(type(cache._connections[cache._alias]), "add", away)
    assert ask("wrong")[1]["data"] == WRONG
