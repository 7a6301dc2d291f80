"""POST /api/node/v1/suppressions"""

import datetime
import json

import pytest
import redis
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from nodes import suppressions
from nodes.publishing import publish
from servers.models import Server
from suppressions import acts, retention, rules
from suppressions.keys import Keys
from tests.cast import ANN, NOW, SYSTEM, make_pool
from tests.nodes.platform import make_site

pytestmark = [pytest.mark.django_db, pytest.mark.storage]
DAY = datetime.timedelta(days=1)


@pytest.fixture
def site(acme, globex):
    site = make_site(acme, globex, make_pool)
    publish(actor=ANN, now=NOW)
    return site


def ask(key, status=200, **given):
    response = Client().post(
        "/api/node/v1/suppressions", json.dumps(given), "application/json", headers={"Authorization": f"Bearer {key}"}
    )
    assert response.status_code == status, response.content
    return response.json()


def suppress(tenant, *addresses, **more):
    values = {"server": tenant.server, "reason": "api", "at": timezone.now(), "actor": SYSTEM, **more}
    acts.suppress(organization=tenant.organization, addresses=addresses, **values)


def remove(tenant, *addresses):
    acts.remove(
        organization=tenant.organization, server=tenant.server, addresses=addresses, at=timezone.now(), actor=SYSTEM
    )


def digest(tenant, address):
    return Keys.known().digest(tenant.organization.uuid, address)


def name_of(tenant):
    return f"{tenant.organization.permalink}/{tenant.server.permalink}"


def test_a_node_gets_the_lists_of_those_whose_mail_it_sends(site, acme, globex):
    ends = timezone.now().replace(microsecond=0) + DAY
    suppress(acme, "one@gmail.com", expires_at=ends)
    suppress(acme, "two@gmail.com", server=None)
    suppress(acme, "removed@gmail.com")
    remove(acme, "removed@gmail.com")
    suppress(globex, "theirs@gmail.com")
    uuid, server = str(acme.organization.uuid), str(acme.server.uuid)
    answer = ask(site.key)
    assert answer.pop("servers_digest")
    assert answer == {
        "servers": {name_of(acme): {"server": server, "organization": uuid}},
        "lists": [
            {
                "organization": uuid,
                "key": Keys.known().key_of(acme.organization.uuid).hex(),
                "at_submission": "refuse",
                "number": 4,
                "is_restart": False,
                "is_complete": True,
                "entries": [
                    [digest(acme, "one@gmail.com"), server, ends.timestamp(), False],
                    [digest(acme, "two@gmail.com"), None, None, False],
                ],
                "sum": None,
            }
        ],
        "is_complete": True,
    }
    assert "@" not in json.dumps(answer)
    assert [each["organization"] for each in ask(site.other_key)["lists"]] == [str(globex.organization.uuid)]
    # What another tenant has is not answered, whatever is asked for.
    assert (
        ask(site.key, have={str(globex.organization.uuid): {"number": 0, "whole": False}})["lists"]
        == ask(site.key)["lists"]
    )


def test_a_node_that_has_all_gets_what_changed_since(site, acme):
    suppress(acme, "one@gmail.com", "two@gmail.com")
    uuid, server = str(acme.organization.uuid), str(acme.server.uuid)
    first = ask(site.key)
    assert len(first["lists"][0]["entries"]) == 2
    had = {"servers_digest": first["servers_digest"], "have": {uuid: {"number": 2, "whole": True}}}
    nothing = {"servers_digest": first["servers_digest"], "servers": None, "lists": [], "is_complete": True}
    assert ask(site.key, **had) == nothing
    suppress(acme, "three@gmail.com")
    remove(acme, "one@gmail.com")
    [changes] = ask(site.key, **had)["lists"]
    assert (changes["number"], changes["is_restart"], changes["entries"]) == (
        4,
        False,
        [[digest(acme, "three@gmail.com"), server, None, False], [digest(acme, "one@gmail.com"), server, None, True]],
    )
    rules.change_rules(organization=acme.organization, at_submission="drop", actor=SYSTEM)
    [changes] = ask(site.key, have={uuid: {"number": 4, "whole": True}})["lists"]
    assert (changes["number"], changes["at_submission"], changes["entries"]) == (5, "drop", [])


def test_a_list_comes_in_parts(site, acme, monkeypatch):
    monkeypatch.setattr(suppressions, "MOST_ENTRIES", 3)
    suppress(acme, *(f"user{each}@gmail.com" for each in range(7)))
    uuid, have, got = str(acme.organization.uuid), {}, []
    for _ in range(3):
        answer = ask(site.key, have=have)
        [part] = answer["lists"]
        got.append((part["number"], part["is_complete"], answer["is_complete"], len(part["entries"])))
        have = {uuid: {"number": part["number"], "whole": part["is_complete"]}}
    assert got == [(3, False, False, 3), (6, False, False, 3), (7, True, True, 1)]
    assert ask(site.key, have=have)["lists"] == []


def test_a_node_that_is_too_far_behind_or_ahead_begins_anew(site, acme):
    suppress(acme, "one@gmail.com", "two@gmail.com")
    remove(acme, "one@gmail.com")
    retention.delete_old(at=timezone.now() + 31 * DAY)
    uuid = str(acme.organization.uuid)

    def state(number, *, whole=True):
        found = ask(site.key, have={uuid: {"number": number, "whole": whole}})["lists"]
        return [(each["is_restart"], each["number"], len(each["entries"])) for each in found]

    assert state(2) == [(True, 3, 1)]
    assert state(9) == state(9, whole=False) == [(True, 3, 1)]
    assert state(3) == []
    # One that is loading the list goes on where it was.
    assert state(1, whole=False) == [(False, 3, 1)]


def test_a_node_gets_the_sum_of_a_list_at_the_number_that_it_is_brought_to(site, acme):
    soon, later = timezone.now() + suppressions.NEAR_ITS_END / 2, timezone.now() + DAY
    suppress(acme, "one@gmail.com", "two@gmail.com", expires_at=later)
    suppress(acme, "soon@gmail.com", expires_at=soon)
    uuid = str(acme.organization.uuid)
    assert ask(site.key, have={uuid: {"number": 2, "whole": True}})["lists"][0]["sum"] is None
    [found] = ask(site.key, have={uuid: {"number": 2, "whole": True, "compare": True}})["lists"]
    assert (found["number"], len(found["entries"]), found["sum"]["entries"]) == (3, 1, 2)
    assert soon.timestamp() < found["sum"]["until"] < later.timestamp()
    # With the newest number too, and not all the time: the whole list is read for it.
    asked = {"have": {uuid: {"number": 3, "whole": True, "compare": True}}}
    assert ask(site.key, **asked)["lists"] == []
    cache.clear()
    [again] = ask(site.key, **asked)["lists"]
    assert (again["number"], again["entries"], again["sum"]["digest"]) == (3, [], found["sum"]["digest"])


def test_a_list_that_comes_in_parts_has_its_sum_when_it_is_complete(site, acme, monkeypatch):
    suppress(acme, "one@gmail.com")
    monkeypatch.setattr(suppressions, "MOST_ENTRIES", 2)
    suppress(acme, *(f"user{each}@gmail.com" for each in range(3)))
    uuid = str(acme.organization.uuid)
    [part] = ask(site.key, have={uuid: {"number": 1, "whole": True, "compare": True}})["lists"]
    assert (part["is_complete"], part["sum"]) == (False, None)


def test_changes_come_without_a_cache_too(site, acme, monkeypatch):
    suppress(acme, "one@gmail.com")

    def away(*_, **__):
        raise redis.exceptions.ConnectionError

    monkeypatch.setattr(suppressions.cache, "add", away)
    uuid = str(acme.organization.uuid)
    [changes] = ask(site.key, have={uuid: {"number": 0, "whole": True, "compare": True}})["lists"]
    assert (changes["number"], changes["sum"]) == (1, None)


def test_a_server_keeps_the_name_that_its_node_knows(site, acme):
    Server.objects.filter(pk=acme.server.pk).update(permalink="renamed")
    assert list(ask(site.key)["servers"]) == [name_of(acme)]


def test_the_number_of_queries_does_not_depend_on_that_of_the_entries(site, acme):
    def queries():
        with CaptureQueriesContext(connection) as made:
            ask(site.key)
        return len(made)

    suppress(acme, "one@gmail.com")
    # The first use of a key in a minute is written down.
    queries()
    few = queries()
    suppress(acme, *(f"user{each}@gmail.com" for each in range(200)))
    assert queries() == few


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"have": []}, "have must be an object"),
        ({"have": {"x": 5}}, "have.x.number must be a whole number of at least 0"),
        ({"have": {"x": {"number": -1, "whole": True}}}, "have.x.number must be a whole number of at least 0"),
        ({"have": {"x": {"number": True, "whole": True}}}, "have.x.number must be a whole number of at least 0"),
        ({"have": {"x": {"number": 1}}}, "have.x.whole must be true or false"),
        ({"have": {"x": {"number": 1, "whole": True, "compare": 1}}}, "have.x.compare must be true or false"),
        ({"servers_digest": 7}, "servers_digest must be a string"),
    ],
)
def test_it_rejects_what_is_wrong(site, given, message):
    assert ask(site.key, 422, **given) == {"error": {"code": "invalid", "message": message}}


def test_it_rejects_other_keys_and_a_node_without_a_revision(site, acme, globex):
    assert ask("wrong", 401)["error"]["code"] == "invalid_key"
    assert ask(acme.key, 401)["error"]["code"] == "invalid_key"
    site.here.refresh_from_db()
    type(site.here).objects.filter(pk=site.here.pk).update(revision=None)
    assert ask(site.key, 404)["error"]["code"] == "no_revision"
