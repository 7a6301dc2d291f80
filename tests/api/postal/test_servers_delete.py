"""POST|DELETE /api/v1/servers/delete"""

import psycopg
import pytest
from django.db import IntegrityError, OperationalError

from api.postal import servers
from core.errors import NotFound
from core.models import AuditEntry
from servers.models import Server
from tests.api.postal.conftest import NO_KEY, NOW, SUSPENDED, WRONG_KEY, error, golden, make_server

pytestmark = pytest.mark.django_db
PATH = "servers/delete"


@pytest.mark.storage
@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT", "PATCH"])
def test_it_works(call, acme, globex, method):
    marketing = make_server(acme.organization, "Marketing Server")
    expected = golden("servers-delete")
    expected["data"]["server"]["uuid"] = str(marketing.server.uuid)
    answer = call(PATH, {}, key=marketing.key, method=method)
    assert answer == expected
    assert list(answer["data"]) == list(expected["data"])
    # Soft: marked, all else as it was; and the key stops at once.
    gone = Server.objects.get(pk=marketing.server.pk)
    assert (gone.deleted_at, gone.name, gone.credentials.count()) == (NOW, "Marketing Server", 2)
    assert call(PATH, key=marketing.key) == WRONG_KEY
    assert AuditEntry.objects.filter(act="server.deleted").count() == 1
    assert set(Server.objects.living()) == {acme.server, globex.server}


def test_it_deletes_nothing_but_the_keys_server(call, acme, globex):
    answer = call(PATH, {"server_id": str(globex.server.uuid)}, key=acme.key)
    assert answer["data"]["server"]["uuid"] == str(acme.server.uuid)
    assert Server.objects.living().get() == globex.server


def refusing(exc, cause=None):
    def refuse(**_):
        raise exc from cause

    return refuse


@pytest.mark.parametrize(
    "refuse",
    [
        refusing(IntegrityError(), psycopg.errors.ForeignKeyViolation()),
        refusing(IntegrityError(), psycopg.errors.RaiseException()),
        # Another request deleted it meanwhile.
        refusing(NotFound()),
    ],
)
def test_a_database_that_refuses(call, acme, monkeypatch, refuse):
    monkeypatch.setattr(servers, "delete_server", refuse)
    assert call(PATH, key=acme.key) == golden("servers-delete-failed")
    assert Server.objects.get().deleted_at is None


def test_a_database_that_is_away_is_no_refusal(call, acme, monkeypatch):
    monkeypatch.setattr(servers, "delete_server", refusing(OperationalError(), psycopg.OperationalError()))
    answer = call(PATH, key=acme.key, status=503)
    assert answer["data"]["code"] == "Unavailable"


def test_it_rejects_get(call, acme):
    assert call(PATH, key=acme.key, method="GET") == error("MethodNotAllowed", "This URL does not answer this method")
    assert Server.objects.get().deleted_at is None


def test_it_rejects_wrong_keys(call, acme, suspended):
    assert call(PATH) == NO_KEY
    assert call(PATH, key="wrong") == WRONG_KEY
    assert call(PATH, key=suspended.key) == SUSPENDED
    assert Server.objects.living().count() == 2
