"""The OpenAPI document, and the page that shows it."""

import json
import re

import pytest
import yaml
from django.contrib.staticfiles import finders
from django.test import Client
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.validation import validate_schema

from api.postal.openapi import EXAMPLES
from api.postal.urls import urlpatterns
from tests.api.postal.conftest import GOLDEN
from tests.api.postal.documented import document, validator

PATHS = {
    "servers-create": ("/api/v1/servers/create", "post"),
    "servers-list": ("/api/v1/servers/list", "post"),
    "servers-show": ("/api/v1/servers/show", "post"),
    "servers-email-stats": ("/api/v1/servers/email-stats", "post"),
    "servers-update-mode": ("/api/v1/servers/update-mode", "post"),
    "servers-delete": ("/api/v1/servers/delete", "post"),
    "ip-pools-list": ("/api/v1/servers/ip_pools", "get"),
    "ip-pools-create": ("/api/v1/servers/ip_pools/create", "post"),
    "ip-pools-least-used": ("/api/v1/servers/ip_pools/least_used", "get"),
}


def operation_of(name):
    """Return path and verb of the endpoint that a golden file is about: `servers-show-detailed` is of `servers-show`."""
    return PATHS[max((each for each in PATHS if name.startswith(each)), key=len)]


def corrected(value):
    """Return a document's example with its placeholder for a number made one, and nothing else changed."""
    if isinstance(value, dict):
        return {key: 1 if key == "ip_pool_id" else corrected(each) for key, each in value.items()}
    return [corrected(each) for each in value] if isinstance(value, list) else value


def test_it_is_built_without_warnings():
    GENERATOR_STATS.reset()
    document.__wrapped__()
    assert not GENERATOR_STATS
    validate_schema(document())


def test_it_is_served():
    response = Client().get("/api/schema/")
    assert response.status_code == 200
    assert yaml.safe_load(response.content)["paths"].keys() >= document()["paths"].keys()


def test_every_url_is_documented():
    documented = {path.removeprefix("/api/v1/") for path in document()["paths"] if path.startswith("/api/v1/")}
    assert {re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", str(each.pattern)) for each in urlpatterns} <= documented


@pytest.mark.parametrize("name", sorted(path.stem for path in GOLDEN.glob("*.json")))
def test_every_answer_of_the_documents_is_one_of_ours(name):
    answer = {"time": 0.012, "flags": {}} | corrected(json.loads((GOLDEN / f"{name}.json").read_text()))
    if name == "servers-show":
        # The page cuts its second domain short.
        answer["data"]["server"]["domains"].pop()
    path, verb = operation_of(name)
    validator(path, verb, 200, with_formats=False).validate(answer)
    examples = document()["paths"][path][verb]["responses"]["200"]["content"]["application/json"]["examples"]
    shown = [{**each["value"], "time": 0} for each in examples.values()]
    if name == "servers-show":
        for each in shown:
            each["data"].get("server", {}).get("domains", [None]).pop()
    assert {**answer, "time": 0} in shown


def test_every_example_shown_is_true_to_its_schema():
    shown = set()
    for path, operations in document()["paths"].items():
        for verb, operation in operations.items():
            content = operation["responses"]["200"]["content"]["application/json"]
            for name, example in content["examples"].items():
                shown.add(name)
                validator(path, verb, 200, with_formats=False).validate(example["value"])
    assert {path.stem for path in EXAMPLES.glob("*.json")} <= shown


def test_both_content_types_and_every_status_are_described():
    for path, operations in document()["paths"].items():
        for verb, operation in operations.items():
            assert set(operation["responses"]) == {"200", "404", "413", "429", "500", "503"}
            if verb != "get":
                second = "x-ndjson" if path == "/api/v1/events" else "x-www-form-urlencoded"
                assert set(operation["requestBody"]["content"]) == {"application/json", f"application/{second}"}


def test_the_docs_page_works_offline():
    client = Client()
    page = client.get("/api/docs/")
    script = client.get("/api/docs/?script=")
    assert (page.status_code, script.status_code) == (200, 200)
    for content in (page.content.decode(), script.content.decode()):
        assert not re.findall(r"""["'(](?:https?:)?//[^"')\s]+""", content)
    assets = re.findall(r'(?:src|href)="/static/([^"]+)"', page.content.decode())
    # Swagger UI's, and what Sluice adds for contrast, keyboards and screen readers.
    assert len(assets) == 6
    assert {"panel/api_docs.css", "panel/api_docs.js"} < set(assets)
    assert '<html lang="en">' in page.content.decode()
    assert all(finders.find(asset) for asset in assets)
    assert b"/api/schema/" in script.content
