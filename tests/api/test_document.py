"""GET /api/schema/: made once, whoever asks how often."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml
from django.test import Client

from api import document


@pytest.fixture(autouse=True)
def _forgotten():
    def forget():
        document._rendered.cache_clear()
        document._document.cache_clear()

    forget()
    yield
    forget()


@pytest.fixture
def made(monkeypatch):
    """How often the document was made; slowly, so that others come meanwhile."""
    times = []

    def make(self, **given):
        times.append(given)
        time.sleep(0.05)
        return {"openapi": "3.1.0", "paths": {}}

    monkeypatch.setattr(document.SchemaGenerator, "get_schema", make)
    return times


def test_it_is_made_once(made):
    assert {Client().get("/api/schema/").content for _ in range(3)} == {b"openapi: 3.1.0\npaths: {}\n"}
    assert made == [{"request": None, "public": True}]


def test_many_at_once_wait_for_one(made):
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: Client().get("/api/schema/").status_code, range(16)))
    assert set(answers) == {200}
    assert len(made) == 1


@pytest.mark.parametrize(
    ("path", "headers"),
    [("/api/schema/?format=json", {}), ("/api/schema/", {"Accept": "application/json"})],
)
def test_it_is_json_for_those_who_prefer_it(made, path, headers):
    answer = Client().get(path, headers=headers)
    assert answer["Content-Type"] == "application/vnd.oai.openapi+json; charset=utf-8"
    assert json.loads(answer.content) == {"openapi": "3.1.0", "paths": {}}


def test_both_forms_are_the_same_whole_document():
    in_yaml, in_json = Client().get("/api/schema/"), Client().get("/api/schema/?format=json")
    assert in_yaml["Content-Type"] == "application/vnd.oai.openapi; charset=utf-8"
    assert yaml.safe_load(in_yaml.content) == json.loads(in_json.content)
    assert len(json.loads(in_json.content)["paths"]) > 40


def test_who_holds_it_is_told_so(made):
    first = Client().get("/api/schema/")
    again = Client().get("/api/schema/", headers={"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert first["Cache-Control"] == "public, max-age=300"
    assert first["Vary"] == "Accept"
    assert Client().post("/api/schema/").status_code == 405
