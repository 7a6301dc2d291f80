"""POST /api/v1/events by a node: for the servers whose pools have addresses on it, and no others."""

import datetime
import json

import pytest
from django.test import Client

from nodes.nodes import delete_node, rotate_key
from nodes.publishing import publish
from servers.models import Server
from servers.pool_rules import create_rule
from servers.pools import grant_pool
from stats.models import Event
from tests.cast import ANN, NOW, make_pool
from tests.nodes.platform import make_site

pytestmark = [pytest.mark.storage, pytest.mark.django_db]


@pytest.fixture(autouse=True)
def no_pokes(monkeypatch):
    monkeypatch.setattr("api.postal.events.request_fold", lambda: None)


@pytest.fixture
def site(acme, globex):
    return make_site(acme, globex, make_pool)


def report(key: str, *events: dict, header: str = "Authorization"):
    value = f"Bearer {key}" if header == "Authorization" else key
    body = json.dumps(list(events))
    return Client().post("/api/v1/events", body, content_type="application/json", headers={header: value}).json()


def event(server: str, number: int = 1, **changes: object) -> dict:
    at = datetime.datetime.now(datetime.UTC).isoformat()
    return {
        "id": str(number), "type": "sent", "at": at, "server": server, "from": "a@acme.example", "to": "b@gmail.com",
    } | changes  # fmt: skip


@pytest.mark.parametrize("header", ["Authorization", "X-Server-API-Key"])
def test_it_works(site, acme, header):
    answer = report(site.key, event("acme/transactional-server", ip="192.0.2.1"), header=header)
    assert (answer["status"], answer["data"]["accepted"]) == ("success", 1)
    assert Event.objects.values_list("server_id", "address_id").get() == (acme.server.pk, site.first.pk)
    site.here.refresh_from_db()
    assert site.here.last_used_at is not None


def test_others_servers_are_refused_as_if_there_were_none(site, globex):
    answer = report(site.key, event("globex/globex-server"), event(str(globex.server.uuid), 2), event("acme/nobody", 3))
    assert answer["data"]["accepted"] == 0
    assert {each["code"] for each in answer["data"]["refused"]} == {answer["data"]["refused"][0]["code"]}
    assert len(answer["data"]["refused"]) == 3


def test_another_nodes_address_counts_for_the_server_alone(site):
    answer = report(site.key, event("acme/transactional-server", ip="192.0.2.3"))
    assert answer["data"]["accepted"] == 1
    assert Event.objects.values_list("address_id", flat=True).get() == 0


def test_a_pool_of_a_rule_is_enough(site, acme):
    grant_pool(organization=acme.organization, pool=site.remote, actor=ANN)
    assert report(site.other_key, event("acme/transactional-server"))["data"]["accepted"] == 0
    create_rule(owner=acme.organization, pool=site.remote, to_conditions=["gmail.com"], actor=ANN)
    assert report(site.other_key, event("acme/transactional-server"))["data"]["accepted"] == 1


def test_what_is_under_way_is_reported_after_its_server_is_deleted(site, acme):
    publish(actor=ANN, now=NOW)
    Server.objects.filter(pk=acme.server.pk).update(deleted_at=NOW, ip_pool=None)
    assert report(site.key, event(str(acme.server.uuid)))["data"]["accepted"] == 1


def test_it_rejects_an_old_key_and_a_deleted_nodes(site):
    rotate_key(node=site.here, actor=ANN)
    delete_node(node=site.there, actor=ANN)
    for key in (site.key, site.other_key):
        assert report(key, event("acme/transactional-server"))["data"]["code"] == "InvalidServerAPIKey"
    assert not Event.objects.exists()
