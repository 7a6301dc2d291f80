"""POST /api/v1/servers/update-mode"""

import datetime

import pytest
import time_machine

from core.models import AuditEntry
from servers.models import Server
from tests.api.postal.conftest import NO_KEY, NOW, SUSPENDED, WRONG_KEY, error, golden, make_server

pytestmark = pytest.mark.django_db
PATH = "servers/update-mode"


@pytest.mark.storage
def test_it_works(call, acme, globex):
    marketing = make_server(acme.organization, "Marketing Server")
    expected = golden("servers-update-mode")
    expected["data"]["server"]["uuid"] = str(marketing.server.uuid)
    with time_machine.travel(datetime.datetime(2025, 9, 4, 14, 30, tzinfo=datetime.UTC), tick=False):
        answer = call(PATH, {"mode": "Development"}, key=marketing.key)
    assert answer == expected
    assert list(answer["data"]["server"]) == list(expected["data"]["server"])
    modes = dict(Server.objects.values_list("name", "mode"))
    assert modes == {"Marketing Server": "development", "Transactional Server": "live", "Globex Server": "live"}
    entry = AuditEntry.objects.get(act="server.changed")
    assert (entry.before["mode"], entry.after["mode"]) == ("live", "development")

    assert call(PATH, {"mode": "Live"}, key=marketing.key)["data"]["server"]["mode"] == "Live"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_it_tolerates_other_verbs_of_change(call, acme, method):
    answer = call(PATH, {"mode": "Development"}, key=acme.key, method=method)
    assert answer["data"]["server"]["mode"] == "Development"


@pytest.mark.parametrize("method", ["GET", "DELETE", "OPTIONS"])
def test_it_rejects_other_verbs(call, acme, method):
    wrong = error("MethodNotAllowed", "This URL does not answer this method")
    assert call(PATH + "?mode=Development", key=acme.key, method=method) == wrong
    assert Server.objects.get().mode == "live"


@pytest.mark.parametrize("parameters", [{}, {"mode": None}, {"mode": ""}, {"mode": "  "}, {"Mode": "Live"}])
def test_it_rejects_a_missing_mode(call, acme, parameters):
    assert call(PATH, parameters, key=acme.key) == golden("servers-update-mode-missing")


@pytest.mark.parametrize("mode", ["live", "LIVE", "Live ", "Test", 1, True, ["Live"], {"Live": 1}])
def test_it_rejects_an_unknown_mode(call, acme, mode):
    assert call(PATH, {"mode": mode}, key=acme.key) == golden("servers-update-mode-invalid")
    assert Server.objects.get().mode == "live"


def test_other_parameters_change_nothing_else(call, acme, globex):
    parameters = {"mode": "Development", "server_id": str(globex.server.uuid), "name": "X", "privacy_mode": True}
    assert call(PATH, parameters, key=acme.key)["data"]["server"]["uuid"] == str(acme.server.uuid)
    assert Server.objects.get(pk=globex.server.pk).mode == "live"
    mine = Server.objects.get(pk=acme.server.pk)
    assert (mine.name, mine.privacy_mode) == ("Transactional Server", False)


def test_it_rejects_wrong_keys(call, acme, suspended):
    parameters = {"mode": "Development"}
    assert call(PATH, parameters) == NO_KEY
    assert call(PATH, parameters, key="wrong") == WRONG_KEY
    assert call(PATH, parameters, key=suspended.key) == SUSPENDED
    assert set(Server.objects.values_list("mode", flat=True)) == {"live"}


def test_the_answer_has_the_clock_of_the_change(call, acme):
    answer = call(PATH, {"mode": "Live"}, key=acme.key)
    assert answer["data"]["server"]["updated_at"] == "2026-11-18T10:30:15.250Z"
    assert Server.objects.get().updated_at == NOW
