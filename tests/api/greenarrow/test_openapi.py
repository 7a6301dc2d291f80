"""The OpenAPI document. (That answers are what it promises, every test's caller checks.)"""

import re

import pytest
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema

from api.greenarrow.urls import urlpatterns
from tests.api.answers import schema_validator
from tests.api.greenarrow.documented import PREFIX, document, operations
from tests.api.greenarrow.test_every_endpoint import ENDPOINTS
from tests.api.greenarrow.test_ip_addresses_create import given, rule


def test_it_is_built_without_warnings():
    GENERATOR_STATS.reset()
    schema = SchemaGenerator().get_schema(request=None, public=True)
    assert not GENERATOR_STATS
    validate_schema(schema)


def test_every_endpoint_is_documented_and_nothing_else():
    paths = {re.sub(r"<\w+:(\w+)>", r"{\1}", str(each.pattern)) for each in urlpatterns}
    assert {path.removeprefix(PREFIX) for path, _ in operations()} == paths
    assert len(operations()) == len(ENDPOINTS)


def test_every_operation_has_a_name_a_summary_and_its_refusals():
    ids = [operation["operationId"] for operation in operations().values()]
    assert len(set(ids)) == len(ids)
    for (_, verb), operation in operations().items():
        assert operation["summary"]
        assert operation["security"] == [{"GreenArrowBasic": []}]
        expected = {"200", "400", "401", "403", "404", "405", "413", "429", "500", "503"}
        assert expected <= operation["responses"].keys()
        assert ("requestBody" in operation) == (verb in ("post", "put"))
        assert ("422" in operation["responses"]) >= ("requestBody" in operation)


def test_every_reference_is_there():
    responses = document()["components"]["responses"]
    for operation in operations().values():
        for response in operation["responses"].values():
            assert "$ref" not in response or response["$ref"].rpartition("/")[2] in responses


def test_no_component_is_described_by_the_docstring_of_a_base():
    schemas = document()["components"]["schemas"].values()
    descriptions = [each["description"] for each in schemas if "description" in each]
    assert len(set(descriptions)) == len(descriptions)


@pytest.mark.parametrize(
    ("payload", "is_good"),
    [
        (given(), True),
        (given(rules=[rule("a.com")], redirect=None, default={"max_messages_per_hour": None}), True),
        (given(name=...), False),
        (given(rules=[rule()]), False),
        (given(rules=[rule("a.com", max_messages_per_hour=-1)]), False),
        (given(ip="10.0.0.256"), False),
        ({}, False),
    ],
)
def test_the_document_knows_good_bodies_from_bad_ones(payload, is_good):
    body = operations()[f"{PREFIX}ip_addresses", "post"]["requestBody"]["content"]["application/json"]
    assert schema_validator(body["schema"], document()["components"]).is_valid(payload) is is_good


FIXED, HALF, TWICE = (
    {"mode": mode, "value": value} for mode, value in (("fixed", 200), ("percent", 50), ("percent", 200))
)


@pytest.mark.parametrize(
    ("triggers", "connections", "is_good"),
    [
        ({"failure_rate": 50}, HALF, True),
        ({"failure_rate": None, "deferral_rate": 50}, FIXED, True),
        ({"failure_rate": None}, HALF, False),
        ({}, HALF, False),
        ({"failure_rate": 50}, TWICE, False),
    ],
)
@pytest.mark.parametrize(("path", "method", "is_new"), [("", "post", True), ("/{program_id}", "put", False)])
def test_a_new_program_has_a_trigger_and_lowers_its_limits(triggers, connections, is_good, path, method, is_new):
    """What a change does not name may already be so."""
    body = operations()[f"{PREFIX}throttle_programs{path}", method]["requestBody"]["content"]["application/json"]
    backoff = {"max_concurrent_connections": connections, "max_messages_per_hour": HALF, "return_after": 1}
    payload = {"throttle_program": {"name": "a", "backoff": backoff, "triggers": triggers}}
    assert schema_validator(body["schema"], document()["components"]).is_valid(payload) is (is_good or not is_new)
