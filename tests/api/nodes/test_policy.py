"""GET /api/node/v1/policy"""

import json

import pytest
from django.test import Client

from agent.agent_credentials import Logins
from core import lockout
from core.audit import record
from nodes import waiting
from nodes.document import wanted_by
from nodes.models import Node, Revision
from nodes.nodes import create_node, delete_node, rotate_key
from nodes.publishing import publish, roll_back
from servers.credentials import create_credential, create_network_credential, hold_credential
from servers.models import Server
from servers.provisioning import change_organization, resume_server, suspend_server
from tests.cast import ANN, NOW, make_pool
from tests.clock import Clock
from tests.nodes.platform import make_site, rule
from tests.words import ip_addresses
from throttling.models import Rule

pytestmark = pytest.mark.django_db
URL = "/api/node/v1/policy"


@pytest.fixture
def site(acme, globex):
    return make_site(acme, globex, make_pool)


def get(key: str, query: str = "", **headers: str):
    return Client().get(URL + query, headers={"Authorization": f"Bearer {key}", **headers})


@pytest.mark.storage
def test_it_works(site, acme):
    answer = get(site.key)
    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/json"
    document = answer.json()
    [number] = Rule.objects.values_list("pk", flat=True)
    first, second = f"a{site.first.pk}", f"a{site.second.pk}"
    pool = f"p{site.shared.pk}"
    revision = Revision.objects.get()
    assert (revision.number, revision.kind) == (1, "automatic")
    file = json.loads(document["files"].pop("sluice.json"))
    digest = document.pop("digest")
    credentials = document["overlay"].pop("credentials")
    assert [each["server"] for each in credentials] == ["acme/transactional-server"] * len(credentials)
    overlay_digest = document["overlay"].pop("digest")
    assert document == {
        "revision": 1,
        "node": "here",
        "kind": "haraka",
        "files": {},
        "sources": {
            f"{first}-r0": {"ip": "192.0.2.1", "virtual_mta": site.first.pk, "rule": 0},
            f"{first}-r{number}": {"ip": "192.0.2.1", "virtual_mta": site.first.pk, "rule": number},
            f"{second}-r0": {"ip": "192.0.2.2", "virtual_mta": site.second.pk, "rule": 0},
        },
        "overlay": {
            "number": 1,
            "paused": [],
            "suspended": [],
            "deferred": [],
            "networks": [],
            "resting": [],
            "caps": [],
            "files": {},
        },
        "fidelity": [],
    }
    assert file == {
        "format": 1,
        "revision": 1,
        "node": "here",
        "limit": [
            {"rule": 0, "connections": 0, "per_hour": 0},
            {"rule": number, "connections": 20, "per_hour": 12_000},
        ],
        "limits": {
            "l1": {"exact": {"gmail.com": 1}, "below": {"gmail.com": 1}, "default": 0},
            "l2": {"exact": {}, "below": {}, "default": 0},
        },
        "sources": {
            first: {"ip": "192.0.2.1", "ipv6": None, "helo": site.first.hostname, "limits": "l1"},
            second: {"ip": "192.0.2.2", "ipv6": None, "helo": site.second.hostname, "limits": "l2"},
        },
        "draws": {"d1": [[first, 1, []], [second, 1, []]]},
        "pools": {pool: {"name": "Shared", "exact": {}, "below": {}, "default": "d1"}},
        "rules": {},
        "tenants": {
            "acme/transactional-server": {
                "server": str(acme.server.uuid), "pool": pool, "rules": None, "refuse": None,
                "send_limits": {"hour": None, "day": None, "month": None},
            },
        },
    }  # fmt: skip
    assert answer["ETag"] == f'"r1-{digest[:16]}-o1-{overlay_digest[:16]}"'
    site.here.refresh_from_db()
    assert site.here.last_used_at is not None


@pytest.mark.storage
def test_what_the_node_has_is_not_sent_again(site):
    tag = get(site.key)["ETag"]
    for known in (tag, f'"x", W/{tag}', "*"):
        again = get(site.key, **{"If-None-Match": known})
        assert (again.status_code, again.content, again["ETag"]) == (304, b"", tag)
    assert get(site.key, **{"If-None-Match": '"r1-0-o1-0"'}).status_code == 200


def test_a_change_is_a_new_revision_and_nothing_else_is(site):
    assert get(site.key).json()["revision"] == 1
    ip_addresses.update(site.second.pk, {"rules_new": [rule(["yahoo.com"], 5, 0)]}, actor=ANN)
    assert get(site.key).json()["revision"] == 2
    # The other node's policy is the same, under the new number.
    other = get(site.other_key).json()
    assert (other["revision"], json.loads(other["files"]["sluice.json"])["revision"]) == (2, 1)
    revision = Revision.objects.first()
    assert [(each["act"], each["label"]) for each in revision.changes["newest"]] == [
        ("ip_address.changed", "192.0.2.2")
    ]
    assert (revision.changes["count"], revision.actor_label) == (1, "Sluice")
    create_credential(server=Server.objects.first(), kind="smtp", name="New", actor=ANN)
    assert get(site.key).json()["revision"] == 2


@pytest.mark.storage
def test_a_pause_is_an_overlay_without_a_revision(site):
    before = get(site.key)
    ip_addresses.update(site.first.pk, {"delivery_paused": True}, actor=ANN)
    after = get(site.key)
    assert after.json()["revision"] == 1
    assert after.json()["overlay"]["number"] == before.json()["overlay"]["number"] + 1
    assert after.json()["overlay"]["paused"] == [f"a{site.first.pk}"]
    assert after["ETag"] != before["ETag"]
    assert after.json()["files"] == before.json()["files"]
    assert get(site.other_key).json()["overlay"]["paused"] == []


def test_credentials_come_as_digests_and_go_when_they_are_held(site, acme, globex):
    held = {each["id"] for each in get(site.key).json()["overlay"]["credentials"]}
    made = create_credential(server=acme.server, kind="smtp", name="New", actor=ANN)
    create_credential(server=acme.server, kind="api", name="No SMTP", actor=ANN)
    create_credential(server=globex.server, kind="smtp", name="Theirs", actor=ANN)
    network = create_network_credential(server=acme.server, name="Office", network="198.51.100.0/24", at=NOW, actor=ANN)
    answer = get(site.key)
    overlay = answer.json()["overlay"]
    assert [each for each in overlay["credentials"] if each["id"] not in held] == [
        {
            "id": made.credential.pk,
            "server": "acme/transactional-server",
            "sha256": made.credential.key_digest,
            "expires_at": None,
        }
    ]
    assert overlay["networks"] == [
        {"id": network.pk, "server": "acme/transactional-server", "network": "198.51.100.0/24", "expires_at": None}
    ]
    assert made.key.encode() not in answer.content
    hold_credential(credential=made.credential, at=NOW, actor=ANN)
    assert {each["id"] for each in get(site.key).json()["overlay"]["credentials"]} == held


@pytest.mark.storage
@pytest.mark.parametrize("kind", ["haraka", "postfix"])
def test_until_a_renamed_organization_is_published_its_mail_goes_on_by_its_former_name(
    site, acme, globex, settings, kind
):
    settings.SLUICE_PUBLISH = "manual"
    Node.objects.update(kind=kind)
    made = create_credential(server=acme.server, kind="smtp", name="New", actor=ANN)
    create_network_credential(server=acme.server, name="Office", network="198.51.100.0/24", at=NOW, actor=ANN)
    publish(actor=ANN, now=NOW)
    before = get(site.key).json()
    change_organization(organization=acme.organization, permalink="acme-inc", actor=ANN, at=NOW)
    change_organization(organization=globex.organization, permalink="globex-inc", actor=ANN, at=NOW)
    assert get(site.key).json() == before
    old, new = "acme/transactional-server", "acme-inc/transactional-server"
    assert accepted(before, made.key) == {old: True, new: False}
    # Mail of a suspended server waits: the files that the overlay changes say so too.
    suspend_server(server=acme.server, reason="Spam", at=NOW, actor=ANN)
    suspended = get(site.key).json()
    assert suspended["overlay"]["suspended"] == [{"server": old, "until": None}]
    assert accepted(suspended, made.key) == {old: False, new: False}
    if kind == "postfix":
        [tenants] = [text for path, text in suspended["overlay"]["files"].items() if path.endswith("/tenants")]
        assert f"{old} 450 4.7.1 This server is suspended" in tenants
    resume_server(server=acme.server, actor=ANN)
    publish(actor=ANN, now=NOW)
    after = get(site.key).json()
    assert after["revision"] == 2
    assert {each["server"] for each in after["overlay"]["credentials"] + after["overlay"]["networks"]} == {new}
    assert accepted(after, made.key) == {old: False, new: True}
    # An earlier revision has the former names, and so has its overlay.
    roll_back(number=1, actor=ANN, now=NOW)
    assert accepted(get(site.key).json(), made.key) == {old: True, new: False}


def accepted(document, key: str) -> dict[str, bool]:
    """Return by which names the node's agent and its policy accept a log-in with this key."""
    names = ["acme/transactional-server", "acme-inc/transactional-server"]
    files = document["files"] | document["overlay"]["files"]
    if "sluice.json" in files:
        tenants = json.loads(files["sluice.json"])["tenants"].keys()
    else:
        [lines] = [text for path, text in files.items() if path.endswith("/tenants")]
        tenants = {line.split(" ", 1)[0] for line in lines.splitlines()}
    logins = Logins(document["overlay"])
    return {name: name in tenants and logins.accepts(name, key.encode(), NOW.timestamp()) for name in names}


def test_a_suspended_server_is_told(site, acme):
    get(site.key)
    suspend_server(server=acme.server, reason="Spam", at=NOW, actor=ANN)
    document = get(site.key).json()
    assert document["overlay"]["suspended"] == [{"server": "acme/transactional-server", "until": None}]
    assert document["revision"] == 1


def test_by_hand_nothing_is_published_by_itself(site, settings):
    settings.SLUICE_PUBLISH = "manual"
    answer = get(site.key)
    assert (answer.status_code, answer.json()) == (
        404,
        {"error": {"code": "no_revision", "message": "No revision has been published for this node yet"}},
    )
    assert not Revision.objects.exists()


@pytest.mark.parametrize("header", ["", "Basic abc", "Bearer", "Bearer ", "Bearer wrong", "Bearer \ud800", "bearer é"])
def test_it_rejects_a_wrong_key(site, header):
    answer = Client().get(URL, headers={"Authorization": header.encode("utf-8", "surrogatepass").decode("latin-1")})
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == "Bearer"
    assert answer.json()["error"]["code"] == "invalid_key"


def test_it_rejects_an_old_key_and_a_deleted_nodes(site):
    fresh = rotate_key(node=site.here, actor=ANN).key
    assert get(site.key).status_code == 401
    assert get(fresh).status_code == 200
    delete_node(node=site.there, actor=ANN)
    assert get(site.other_key).status_code == 401


@pytest.mark.parametrize("wait", ["-1", "1.5", "x", "1e3", "999999999999", "٣"])
def test_it_rejects_what_is_no_time_to_wait(site, wait):
    answer = get(site.key, f"?wait={wait}")
    assert (answer.status_code, answer.json()) == (
        422,
        {"error": {"code": "invalid", "message": "wait must be a whole number of seconds"}},
    )


def test_it_rejects_other_verbs_and_paths(site):
    headers = {"Authorization": f"Bearer {site.key}"}
    assert Client().post(URL, headers=headers).json()["error"]["code"] == "wrong_method"
    unknown = Client().get("/api/node/v1/secrets", headers=headers)
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "unknown_url")


def test_a_node_that_has_nothing_to_send_by_is_told_so(site):
    empty = create_node(name="empty", kind="haraka", actor=ANN)
    document = get(empty.key).json()
    file = json.loads(document["files"]["sluice.json"])
    assert (document["sources"], file["sources"], file["pools"], file["tenants"]) == ({}, {}, {}, {})


def test_waiting_ends_when_the_time_is_over(site, monkeypatch):
    monkeypatch.setattr("nodes.waiting.INTERVAL", 0.01)
    tag = get(site.key)["ETag"]
    answer = get(site.key, "?wait=1", **{"If-None-Match": tag})
    assert (answer.status_code, answer["ETag"]) == (304, tag)


def test_waiting_ends_with_a_change(site, monkeypatch):
    tag = get(site.key)["ETag"]

    def change(seconds: float) -> None:
        ip_addresses.update(site.first.pk, {"delivery_paused": True}, actor=ANN)

    monkeypatch.setattr("nodes.waiting.time.sleep", change)
    answer = get(site.key, "?wait=25", **{"If-None-Match": tag})
    assert (answer.status_code, answer.json()["overlay"]["paused"]) == (200, [f"a{site.first.pk}"])


def test_waiting_ends_when_the_key_does(site, monkeypatch):
    tag = get(site.key)["ETag"]
    monkeypatch.setattr("nodes.waiting.time.sleep", lambda seconds: rotate_key(node=site.here, actor=ANN))
    assert get(site.key, "?wait=25", **{"If-None-Match": tag}).status_code == 401


def test_too_many_waiting_are_told_to_come_again(site, monkeypatch):
    tag = get(site.key)["ETag"]
    monkeypatch.setattr("nodes.waiting._places.acquire", lambda *, blocking: False)
    answer = get(site.key, "?wait=25", **{"If-None-Match": tag})
    assert (answer.status_code, answer["Retry-After"]) == (304, "5")


def test_one_node_does_not_take_the_places_of_the_others(site, monkeypatch):
    tag = get(site.key)["ETag"]
    places = []

    def wait(node, known, end):
        """Ask again while waiting, as many times as a node may, and as the other node."""
        places.append(node.pk)
        answer = get(site.key, "?wait=25", **{"If-None-Match": tag})
        if len(places) == waiting.MOST_OF_NODE:
            assert (answer.status_code, answer["Retry-After"]) == (304, "5")
            with waiting._place(site.there.pk):
                places.append(site.there.pk)

    monkeypatch.setattr(waiting, "_wait", wait)
    assert get(site.key, "?wait=25", **{"If-None-Match": tag}).status_code == 304
    assert len(places) == waiting.MOST_OF_NODE + 1
    assert not waiting._of_node


def test_a_poll_costs_the_same_however_much_there_is(site, django_assert_max_num_queries):
    tag = get(site.key)["ETag"]
    for number in range(1, 30):
        create_credential(server=Server.objects.first(), kind="smtp", name=f"Key {number}", actor=ANN)
    tag = get(site.key)["ETag"]
    # The key, the newest revision, what was checked and the trail's state (2); the policy; the overlay (3); seen.
    with django_assert_max_num_queries(12):
        get(site.key, **{"If-None-Match": tag})
    assert Node.objects.count() == 2


def test_wrong_keys_are_limited_and_never_stand_in_the_way_of_a_right_one(site, monkeypatch):
    monkeypatch.setattr(lockout, "WRONG_KEYS_OF_ADDRESS", 1)
    assert get("wrong").status_code == 401
    answer = get("another")
    message = "Too many requests with a wrong node key; try again later"
    assert (answer.status_code, answer.json()) == (429, {"error": {"code": "too_many", "message": message}})
    assert answer["Retry-After"] == "300"
    assert get(site.key).status_code == 200


def test_acts_of_tenants_do_not_have_policies_read_without_a_pause(site, monkeypatch):
    """A large policy takes a second to read; whoever has a key of a server can write one entry after the other."""
    tag = get(site.key)["ETag"]
    looks = []

    def look(*given, **more):
        looks.append(clock.seconds)
        clock.sleep(1)
        return wanted_by(*given, **more)

    class Busy(Clock):
        def sleep(self, seconds):
            super().sleep(seconds)
            record(actor=ANN, act="suppression.added", target=site.here)

    clock = Busy()
    monkeypatch.setattr(waiting, "wanted_by", look)
    monkeypatch.setattr(waiting, "time", clock)
    assert get(site.key, "?wait=60", **{"If-None-Match": tag}).status_code == 304
    assert clock.seconds >= 60
    assert 5 <= len(looks) <= 13
