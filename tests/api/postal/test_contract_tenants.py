"""What holds for every endpoint of Postal's dialect beside other tenants and in trouble."""

import json

import psycopg
import pytest
from django.db import OperationalError, connection

from tests.api.postal.conftest import error, make_pool
from tests.api.postal.test_contract import good, paths, revive, with_parameters


@pytest.mark.parametrize("path", with_parameters())
def test_no_parameter_shows_another_tenant(call, acme, globex, path):
    """Whatever names globex's records, nothing of globex is in the answer, and nothing of globex changes."""
    theirs = make_pool(globex.organization, "Secret Pool", "9.9.9.9")
    ids = {
        "server_id": str(globex.server.uuid),
        "organization_uuid": str(globex.organization.uuid),
        "uuid": str(globex.organization.uuid),
        "ip_pool_id": theirs.pk,
        "name": "Secret Pool",
        "include_domains": True,
        "ips": ["9.9.9.9"],
    }
    for name, value in ids.items():
        text = json.dumps(call(path, good(acme, path) | {name: value}, key=acme.key)).replace(f'"{value}"', "")
        for secret in ("globex", str(globex.server.uuid), "Secret Pool", '"9.9.9.9"'):
            assert secret not in text
        revive(acme)
    globex.server.refresh_from_db()
    assert (globex.server.deleted_at, globex.server.mode) == (None, "live")
    assert globex.organization.servers.count() == 1


# --- trouble ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", paths())
def test_a_database_that_is_away_is_unavailable(call, acme, path, monkeypatch):
    def refuse(*_: object) -> None:
        raise OperationalError("connection refused") from psycopg.OperationalError()

    payload = good(acme, path)
    # Back before the fixtures end, which need the database.
    with monkeypatch.context() as patched:
        patched.setattr(connection, "cursor", refuse)
        answer = call(path, payload, key=acme.key, status=503)
        response = call.client.post(f"/api/v1/{path}", headers={"X-Server-API-Key": acme.key})
    assert answer == error("Unavailable", "The service is busy; try again in a moment")
    assert response["Retry-After"] == "5"
