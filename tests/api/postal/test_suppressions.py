"""suppressions/list, suppressions/add, suppressions/remove, suppressions/check"""

import datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from core.models import AuditEntry
from servers.models import Credential
from stats.intake.ingest import Reporter, ingest
from suppressions import rules
from suppressions.models import Suppression
from tests.api.postal.conftest import NOW, SYSTEM, error, make_server, parameter_error, success
from tests.stats.events import event

pytestmark = [pytest.mark.django_db, pytest.mark.storage]
STAMP = "2026-11-18T10:30:15.250Z"
ROGER = "roger@gmail.com"


def shape(tenant, **changes):
    return {
        "masked_address": "r…r@gmail.com",
        "address": None,
        "server": {"uuid": str(tenant.server.uuid), "name": tenant.server.name},
        "reason": "api",
        "source_event": None,
        "suppressed_by": f"{tenant.organization.permalink}/{tenant.server.permalink}: Default API key",
        "suppressed_at": STAMP,
        "expires_at": None,
        **changes,
    }


@pytest.fixture(autouse=True)
def _label(acme, globex):
    Credential.objects.filter(kind="api").update(name="Default API key")


def listed(call, tenant, **given):
    return call("suppressions/list", given, key=tenant.key)["data"]["suppressions"]


def test_addresses_are_added_listed_checked_and_removed(call, acme, globex):
    added = call("suppressions/add", {"addresses": ["Roger@Gmail.com", "ann@x.example", ROGER]}, key=acme.key)
    assert added == success({"added": 2, "already_suppressed": 0})
    ann = shape(acme, masked_address="a…n@x.example")
    pagination = {"current_page": 1, "per_page": 30, "total_pages": 1, "total_count": 2}
    assert call("suppressions/list", key=acme.key) == success(
        {"suppressions": [ann, shape(acme)], "pagination": pagination}
    )
    given = {"addresses": ["ROGER@gmail.com", "bob@gmail.com", "no address", "<ann@x.example>"]}
    assert call("suppressions/check", given, key=acme.key) == success(
        {
            "results": [
                {"address": "ROGER@gmail.com", "suppressed": True, "suppression": shape(acme)},
                {"address": "bob@gmail.com", "suppressed": False, "suppression": None},
                {"address": "no address", "suppressed": False, "suppression": None},
                {"address": "<ann@x.example>", "suppressed": True, "suppression": ann},
            ]
        }
    )
    removed = call("suppressions/remove", {"addresses": [ROGER, "bob@gmail.com"]}, key=acme.key)
    assert removed == success({"removed": 1})
    assert listed(call, acme) == [ann]
    entry = AuditEntry.objects.get(act="suppression.removed")
    assert (entry.actor_kind, entry.actor_label) == ("credential", shape(acme)["suppressed_by"])


def test_another_tenant_sees_and_changes_nothing(call, acme, globex):
    call("suppressions/add", {"addresses": [ROGER], "scope": "organization"}, key=acme.key)
    assert listed(call, globex) == listed(call, globex, address=ROGER) == []
    assert (
        call("suppressions/check", {"addresses": [ROGER]}, key=globex.key)["data"]["results"][0]["suppressed"] is False
    )
    for scope in ("server", "organization"):
        removed = call("suppressions/remove", {"addresses": [ROGER], "scope": scope}, key=globex.key)
        assert removed == success({"removed": 0})
    assert len(listed(call, acme)) == 1


def test_those_of_the_organization_hold_for_each_of_its_servers(call, acme):
    other = make_server(acme.organization, "Second")
    call("suppressions/add", {"addresses": [ROGER], "scope": "organization"}, key=acme.key)
    call("suppressions/add", {"addresses": ["ann@gmail.com"]}, key=acme.key)
    assert [each["server"] for each in listed(call, other)] == [None]
    assert [each["server"] and each["server"]["name"] for each in listed(call, acme)] == [acme.server.name, None]


def test_only_keys_that_manage_the_organization_change_its_suppressions(call, acme):
    Credential.objects.filter(server=acme.server).update(can_manage_organization=False)
    denied = error("AccessDenied", "You don't have permission to change suppressions of the whole organization")
    for act in ("add", "remove"):
        given = {"addresses": [ROGER], "scope": "organization"}
        assert call(f"suppressions/{act}", given, key=acme.key) == denied
    assert Suppression.objects.count() == 0
    assert call("suppressions/add", {"addresses": [ROGER]}, key=acme.key)["status"] == "success"


def test_the_list_is_narrowed_and_paged(call, acme):
    call("suppressions/add", {"addresses": [f"user{each}@gmail.com" for each in range(5)]}, key=acme.key)
    bounce = event(
        acme, type="bounced", ip=None, at=STAMP, reply="550 5.1.1 user unknown", id="m-1", to="user9@gmail.com"
    )
    ingest([bounce], reporter=Reporter(), now=NOW)
    noticed = shape(
        acme,
        masked_address="u…9@gmail.com",
        reason="hard_bounce",
        source_event={"id": "m-1", "at": STAMP},
        suppressed_by="Sluice",
        expires_at="2027-11-18T10:30:15.250Z",
    )
    assert listed(call, acme, reason="hard_bounce") == listed(call, acme, address="USER9@gmail.com") == [noticed]
    assert [each["masked_address"] for each in listed(call, acme, address="user3@gmail.com")] == ["u…3@gmail.com"]
    assert listed(call, acme, address="user3") == []
    answer = call("suppressions/list", {"per_page": 4, "page": 2}, key=acme.key)["data"]
    assert [each["masked_address"] for each in answer["suppressions"]] == ["u…1@gmail.com", "u…0@gmail.com"]
    assert answer["pagination"] == {"current_page": 2, "per_page": 4, "total_pages": 2, "total_count": 6}
    assert listed(call, acme, page=99) == []


def test_what_has_expired_is_neither_listed_nor_suppressed(call, acme):
    given = {"addresses": [ROGER], "expires_at": "2026-11-18T10:30:16Z"}
    assert call("suppressions/add", given, key=acme.key) == success({"added": 1, "already_suppressed": 0})
    assert listed(call, acme) == [shape(acme, expires_at="2026-11-18T10:30:16.000Z")]
    Suppression.objects.update(created_at=NOW - datetime.timedelta(days=2), expires_at=NOW)
    assert listed(call, acme) == []
    assert call("suppressions/check", {"addresses": [ROGER]}, key=acme.key)["data"]["results"][0]["suppressed"] is False


def test_the_clear_address_is_answered_where_the_organization_keeps_it(call, acme):
    rules.change_rules(organization=acme.organization, keeps_addresses=True, actor=SYSTEM)
    call("suppressions/add", {"addresses": ["Roger@gmail.com"]}, key=acme.key)
    assert listed(call, acme) == [shape(acme, address=ROGER)]


@pytest.mark.parametrize("path", ["suppressions/add", "suppressions/remove", "suppressions/check"])
def test_it_rejects_more_than_a_thousand(call, acme, path):
    many = [f"user{each}@gmail.com" for each in range(1_001)]
    assert call(path, {"addresses": many}, key=acme.key) == parameter_error("addresses must be at most 1,000")
    assert call(path, {"addresses": many[:1_000]}, key=acme.key)["status"] == "success"


@pytest.mark.parametrize(
    ("path", "given", "answer"),
    [
        ("add", {}, parameter_error("addresses is required")),
        ("add", {"addresses": "x"}, parameter_error("addresses is invalid")),
        ("add", {"addresses": [1]}, parameter_error("addresses is invalid")),
        ("add", {"addresses": [ROGER], "scope": "x"}, parameter_error("scope must be server or organization")),
        (
            "add",
            {"addresses": [ROGER, "x"]},
            error("ValidationError", "Addresses[1] must be an e-mail address"),
        ),
        (
            "remove",
            {"addresses": ["x", "y@"]},
            error("ValidationError", "Addresses[0] must be an e-mail address, Addresses[1] must be an e-mail address"),
        ),
        (
            "add",
            {"addresses": [ROGER], "expires_at": "2026-11-18T10:30:15Z"},
            error("ValidationError", "Expires at must be in the future"),
        ),
        (
            "add",
            {"addresses": [ROGER], "expires_at": "9999-12-31T23:59:59Z"},
            error("ValidationError", "Expires at must be from the year 1970 to 9998"),
        ),
        (
            "list",
            {"reason": "x"},
            parameter_error("reason must be one of hard_bounce, complaint, manual, import, api"),
        ),
        ("list", {"per_page": 101}, parameter_error("per_page must be from 1 to 100")),
    ],
)
def test_it_rejects_what_is_wrong(call, acme, path, given, answer):
    assert call(f"suppressions/{path}", given, key=acme.key) == answer
    assert Suppression.objects.count() == 0


def test_it_rejects_international_domains_that_take_too_long(call, acme):
    long = [f"a@{'ü' * 50}{each:03}.{'ß' * 50}.example" for each in range(200)]
    answer = parameter_error("addresses must not have more than 20,000 characters in domains that are not ASCII")
    for path in ("add", "remove", "check"):
        assert call(f"suppressions/{path}", {"addresses": long}, key=acme.key) == answer


@pytest.mark.parametrize(
    ("path", "most"),
    # The key with its server; then the platform's key, the count and the page; the key of digests and the entries.
    [("suppressions/list", 3), ("suppressions/check", 3)],
)
def test_the_number_of_queries_does_not_depend_on_that_of_the_entries(call, acme, path, most):
    given = {"addresses": [f"user{each}@gmail.com" for each in range(40)]}
    call("suppressions/add", given, key=acme.key)
    call(path, given, key=acme.key)
    with CaptureQueriesContext(connection) as made:
        call(path, given, key=acme.key)
    assert len(made) == most
