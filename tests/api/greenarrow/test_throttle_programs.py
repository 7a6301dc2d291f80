"""/throttle_programs"""

import pytest

from tests.api.greenarrow.conftest import SYSTEM, refusal, success
from tests.words import ip_addresses, templates
from throttling.models import ThrottleProgram

ROOT = "throttle_program"
BACKOFF = {
    "max_concurrent_connections": {"mode": "percent", "value": 50},
    "max_messages_per_hour": {"mode": "fixed", "value": 100},
    "return_after": 600,
}
TRIGGERS = {"failure_rate": None, "deferral_rate": 30}


def create(call, **values):
    return call.data(
        "POST", "throttle_programs", {ROOT: {"name": "P", "backoff": BACKOFF, "triggers": TRIGGERS, **values}}
    )[ROOT]


def test_the_built_in_program(call, db):
    builtin = ThrottleProgram.objects.get()
    url = f"throttle_programs/{builtin.pk}"
    assert call("GET", url) == success(
        {
            ROOT: {
                "id": builtin.pk,
                "name": "Automatic Backoff",
                "builtin": True,
                "backoff": {
                    "max_concurrent_connections": {"mode": "percent", "value": 25},
                    "max_messages_per_hour": {"mode": "percent", "value": 25},
                    "return_after": 3600,
                },
                "triggers": {"failure_rate": None, "deferral_rate": 50},
            }
        }
    )
    assert call("PUT", url, {ROOT: {"name": "x"}}, status=403) == refusal(
        "forbidden", "A built-in throttle program cannot be changed"
    )
    assert call("DELETE", url, status=403) == refusal("forbidden", "A built-in throttle program cannot be deleted")


def test_create_and_show(call):
    created = create(call, builtin=True, id=9)
    assert created == {
        "id": created["id"],
        "name": "P",
        "builtin": False,
        "backoff": BACKOFF,
        "triggers": TRIGGERS,
    }
    assert call.data("GET", f"throttle_programs/{created['id']}")[ROOT] == created
    assert call.data("GET", "throttle_programs")["throttle_programs"] == [
        {"id": ThrottleProgram.objects.get(is_builtin=True).pk, "name": "Automatic Backoff"},
        {"id": created["id"], "name": "P"},
    ]


def test_create_names_every_fault(call, db):
    values = {
        "name": "automatic BACKOFF",
        "backoff": {"max_concurrent_connections": {"mode": "Percent", "value": 0}, "max_messages_per_hour": 5},
        "triggers": {},
    }
    assert call.faults("POST", "throttle_programs", {ROOT: values}) == [
        "name has already been taken",
        "backoff.max_concurrent_connections.mode must be one of percent, fixed",
        "backoff.max_concurrent_connections.value must be an integer from 1 to 2147483647",
        "backoff.max_messages_per_hour must be an object",
        "backoff.return_after is required",
        "triggers must have a failure_rate or a deferral_rate",
    ]
    assert call.faults("POST", "throttle_programs", {ROOT: {}}) == [
        "name is required",
        "backoff is required",
        "triggers is required",
    ]


@pytest.mark.parametrize("name", ["max_concurrent_connections", "max_messages_per_hour"])
def test_a_backoff_never_raises_a_limit(call, db, name):
    refused = [f"backoff.{name}.value must be at most 100 with mode percent"]
    given = {
        "name": "Q",
        "backoff": BACKOFF | {name: {"mode": "percent", "value": 101}},
        "triggers": {"failure_rate": 5},
    }
    assert call.faults("POST", "throttle_programs", {ROOT: given}) == refused
    program = create(call, name="P", backoff=BACKOFF | {name: {"mode": "fixed", "value": 500}})
    url = f"throttle_programs/{program['id']}"
    # The mode alone, and the value alone: what is not given stays.
    assert call.faults("PUT", url, {ROOT: {"backoff": {name: {"mode": "percent"}}}}) == refused
    call("PUT", url, {ROOT: {"backoff": {name: {"mode": "percent", "value": 100}}}})
    assert call.faults("PUT", url, {ROOT: {"backoff": {name: {"value": 101}}}}) == refused


@pytest.mark.parametrize("name", ["failure_rate", "deferral_rate"])
def test_rates(call, db, name):
    for value in (1, 100):
        assert create(call, name=f"P{value}", triggers={name: value})["triggers"][name] == value
    for value in (0, 101, "5", True, 1.5):
        assert call.faults(
            "POST", "throttle_programs", {ROOT: {"name": "Q", "backoff": BACKOFF, "triggers": {name: value}}}
        ) == [f"triggers.{name} must be null or an integer from 1 to 100"]


def test_update_is_partial(call):
    created = create(call)
    url = f"throttle_programs/{created['id']}"

    def put(**values):
        return call.data("PUT", url, {ROOT: values})[ROOT]

    expected = {**created, "backoff": {**BACKOFF, "max_messages_per_hour": {"mode": "fixed", "value": 7}}}
    assert put(backoff={"max_messages_per_hour": {"value": 7}}) == expected
    assert put(triggers={"failure_rate": 5, "deferral_rate": None})["triggers"] == {
        "failure_rate": 5,
        "deferral_rate": None,
    }
    assert call.faults("PUT", url, {ROOT: {"triggers": {"failure_rate": None}}}) == [
        "triggers must have a failure_rate or a deferral_rate"
    ]


def test_a_program_that_rules_use_is_not_deleted(call, template, address):
    created = create(call)
    rule = {
        "domains": ["used.com"],
        "max_concurrent_connections": 0,
        "max_messages_per_hour": 0,
        "throttle_program": {"id": created["id"]},
    }
    templates.update(template.pk, {"rules_new": [rule]}, actor=SYSTEM)
    ip_addresses.update(address.pk, {"rules_new": [rule, {**rule, "domains": ["too.com"]}]}, actor=SYSTEM)
    url = f"throttle_programs/{created['id']}"
    dependencies = [
        {"type": "ip_address", "id": address.pk, "name": "ipaddr-1"},
        {"type": "throttling_template", "id": template.pk, "name": "Basic Throttling Template"},
    ]
    assert call("DELETE", url, status=409) == refusal(
        "conflict",
        "It is used by ip_address ipaddr-1, throttling_template Basic Throttling Template",
        data={"dependencies": dependencies},
    )
    assert call.data("GET", f"{url}/used_by")["used_by"] == dependencies


def test_an_unused_program_is_deleted(call):
    url = f"throttle_programs/{create(call)['id']}"
    assert call("DELETE", url) == success({})
    call("GET", url, status=404)
