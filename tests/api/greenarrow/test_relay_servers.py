"""/relay_servers"""

import pytest

from core.encryption import decrypt
from core.models import AuditEntry
from ippools.models import RelayServer
from tests.api.greenarrow.conftest import refusal, success

ROOT = "relay_server"
RELAY = {
    "name": "relay-1",
    "source_ip": {"ip": "10.0.0.1", "hostname": "out.example.com"},
    "destination": {"hostname": "relay.example.com", "port": 587, "username": "u", "password": "secret-word"},
    "throttle_limits": {"max_concurrent_connections": 5, "max_messages_per_hour": 0},
}


def create(call, **changes):
    return call.data("POST", "relay_servers", {ROOT: {**RELAY, **changes}})[ROOT]


def test_create_and_show(call, db):
    created = create(call)
    assert created == {
        "id": created["id"],
        "name": "relay-1",
        "source_ip": {"ip": "10.0.0.1", "hostname": "out.example.com"},
        "destination": {"hostname": "relay.example.com", "port": 587, "username": "u", "password": None},
        "throttle_limits": {"max_concurrent_connections": 5, "max_messages_per_hour": 0},
        "redirect": None,
    }
    assert call("GET", f"relay_servers/{created['id']}") == success({ROOT: created})
    stored = RelayServer.objects.get()
    assert "secret-word" not in stored.destination_password
    assert decrypt(stored.destination_password) == "secret-word"
    assert not any("secret-word" in str((each.before, each.after)) for each in AuditEntry.objects.all())


def test_a_password_is_kept_by_null_and_taken_away_by_the_empty_string(call, db):
    url = f"relay_servers/{create(call)['id']}"
    shown = call.data("GET", url)[ROOT]
    assert call.data("PUT", url, {ROOT: shown})[ROOT] == shown
    assert decrypt(RelayServer.objects.get().destination_password) == "secret-word"
    call.data("PUT", url, {ROOT: {"destination": {"password": "new"}}})
    assert decrypt(RelayServer.objects.get().destination_password) == "new"
    call.data("PUT", url, {ROOT: {"destination": {"password": ""}}})
    assert RelayServer.objects.get().destination_password is None


def test_a_record_as_read_is_valid_input_again(call, db):
    shown = create(call)
    copy = call.data("POST", "relay_servers", {ROOT: {**shown, "name": "copy"}})[ROOT]
    assert copy == {**shown, "id": copy["id"], "name": "copy"}


def test_create_names_every_fault(call, db):
    values = {
        "name": "5",
        "source_ip": {"ip": "1.1.1.300"},
        "destination": {"hostname": "-", "port": 0, "username": 5, "password": 5},
        "throttle_limits": {"max_concurrent_connections": None},
        "redirect": {"id": 9},
    }
    assert call.faults("POST", "relay_servers", {ROOT: values}) == [
        "name must not be an integer",
        "redirect refers to a VirtualMTA that does not exist",
        "source_ip.ip must be a valid dotted-decimal IPv4 address",
        "source_ip.hostname is required",
        "destination.hostname must start and end with a letter or number, and so must each of its labels",
        "destination.port must be an integer from 1 to 65535",
        "destination.username must be a string",
        "destination.password must be a string",
        "throttle_limits.max_concurrent_connections must be an integer from 0 to 2147483647",
        "throttle_limits.max_messages_per_hour is required",
    ]
    assert call.faults("POST", "relay_servers", {ROOT: {}}) == [
        "name is required",
        "source_ip is required",
        "destination is required",
        "throttle_limits is required",
    ]


@pytest.mark.parametrize("port", [1, 65535])
def test_a_good_port(call, db, port):
    assert create(call, destination={"hostname": "10.0.0.9", "port": port})["destination"] == {
        "hostname": "10.0.0.9",
        "port": port,
        "username": None,
        "password": None,
    }


@pytest.mark.parametrize("port", [0, 65536, "25", None, True, 25.0])
def test_a_bad_port(call, db, port):
    found = call.faults("POST", "relay_servers", {ROOT: {**RELAY, "destination": {"hostname": "a", "port": port}}})
    assert found == ["destination.port must be an integer from 1 to 65535"]


def test_update_is_partial(call, address):
    created = create(call)
    url = f"relay_servers/{created['id']}"
    values = {
        "destination": {"port": 26},
        "throttle_limits": {"max_messages_per_hour": 4},
        "redirect": {"name": "IPADDR-1"},
    }
    assert call.data("PUT", url, {ROOT: values})[ROOT] == {
        **created,
        "destination": {**created["destination"], "port": 26},
        "throttle_limits": {"max_concurrent_connections": 5, "max_messages_per_hour": 4},
        "redirect": {"type": "ip_address", "id": address.pk, "name": "ipaddr-1"},
    }
    loop = {"redirect": {"id": created["id"]}}
    assert call.faults("PUT", url, {ROOT: loop}) == ["redirect must not be the VirtualMTA itself"]
    assert call.faults("PUT", f"ip_addresses/{address.pk}", {"ip_address": loop}) == ["redirect must not make a loop"]


def test_delete(call, address):
    created = create(call)
    url = f"relay_servers/{created['id']}"
    call.data("PUT", f"ip_addresses/{address.pk}", {"ip_address": {"redirect": {"id": created["id"]}}})
    assert call("DELETE", url, status=409) == refusal(
        "conflict",
        "It is used by ip_address ipaddr-1",
        data={"dependencies": [{"type": "ip_address", "id": address.pk, "name": "ipaddr-1"}]},
    )
    call.data("PUT", f"ip_addresses/{address.pk}", {"ip_address": {"redirect": None}})
    assert call("DELETE", url) == success({})
    call("GET", url, status=404)
