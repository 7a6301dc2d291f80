"""POST /api/v1/servers/create"""

import datetime

import pytest
from django.utils import timezone

from core.models import AuditEntry
from servers.models import Credential, OrganizationPool, Server
from servers.provisioning import change_organization, delete_server, suspend_organization
from tests.api.postal.conftest import (
    NO_KEY,
    NOW,
    SUSPENDED,
    SYSTEM,
    WRONG_KEY,
    error,
    golden,
    make_pool,
    make_server,
    parameter_error,
    success,
)
from tests.api.postal.counts import count_address

pytestmark = pytest.mark.django_db
PATH = "servers/create"


def payload(tenant, **parameters):
    return {"organization_uuid": str(tenant.organization.uuid), "name": "New Transactional Server"} | parameters


def key_of(server: str, kind: str) -> Credential:
    return Credential.objects.get(server__uuid=server, kind=kind, is_default=True)


@pytest.mark.storage
def test_it_works(call, acme):
    pool = make_pool(acme.organization, "Main Pool", "1.1.1.1")
    answer = call(PATH, payload(acme, mode="Live"), key=acme.key)

    server = answer["data"]["server"]
    assert len(server["api_key"]) >= 24
    assert len(server["smtp_key"]) >= 24
    assert server["api_key"] != server["smtp_key"]
    # The document's answer, with our ids, keys and clock in it.
    expected = golden("servers-create")
    expected["data"]["server"] |= {
        "uuid": server["uuid"],
        "created_at": "2026-11-18T10:30:15.250Z",
        "api_key": server["api_key"],
        "smtp_key": server["smtp_key"],
    }
    expected["data"]["server"]["organization"]["uuid"] = str(acme.organization.uuid)
    expected["data"]["server"]["ip_pool"] |= {"id": pool.pk, "uuid": str(pool.uuid)}
    assert answer == expected
    assert list(server) == list(expected["data"]["server"])

    # The key works, and may create in its turn.
    assert call("servers/show", key=server["api_key"])["data"]["server"]["uuid"] == server["uuid"]
    made = Server.objects.get(uuid=server["uuid"])
    assert (made.organization, made.mode, made.ip_pool, made.privacy_mode, made.skip_provision_database) == (
        acme.organization, "live", pool, False, False,
    )  # fmt: skip
    assert key_of(server["uuid"], "api").can_manage_organization is True
    assert key_of(server["uuid"], "smtp").can_manage_organization is False


def test_it_records_who_did_it(call, acme):
    uuid = call(PATH, payload(acme), key=acme.key)["data"]["server"]["uuid"]
    entry = AuditEntry.objects.get(act="server.created", target_id=str(Server.objects.get(uuid=uuid).pk))
    assert (entry.actor_kind, entry.actor_label) == (
        "credential",
        "acme/transactional-server: Default API key",
    )
    assert "key" not in str(entry.after)


def test_it_takes_every_parameter(call, acme):
    make_pool(acme.organization, "A", "1.1.1.1")
    chosen = make_pool(acme.organization, "B", "2.2.2.2")
    answer = call(
        PATH,
        payload(acme, mode="Development", ip_pool_id=str(chosen.pk), privacy_mode="TRUE", skip_provision_database=1),
        key=acme.key,
    )
    server = answer["data"]["server"]
    assert server["mode"] == "Development"
    assert server["ip_pool"] == {"id": chosen.pk, "uuid": str(chosen.uuid), "name": "B", "auto_assigned": False}
    made = Server.objects.get(uuid=server["uuid"])
    assert (made.privacy_mode, made.skip_provision_database) == (True, True)
    # Only automatic assignments count for the round robin.
    assert set(OrganizationPool.objects.values_list("last_assigned_seq", flat=True)) == {0}


def test_without_a_pool_there_is_no_ip_pool(call, acme):
    server = call(PATH, payload(acme), key=acme.key)["data"]["server"]
    assert "ip_pool" not in server
    make_pool(acme.organization, "A", "1.1.1.1")
    server = call(PATH, payload(acme, name="Other", auto_assign_ip_pool=False), key=acme.key)["data"]["server"]
    assert "ip_pool" not in server


def test_a_server_of_the_same_name_is_answered_as_it_is(call, acme):
    make_pool(acme.organization, "Main", "1.1.1.1")
    first = call(PATH, payload(acme, name="Straße"), key=acme.key)["data"]["server"]
    before = Server.objects.values().get(uuid=first["uuid"])

    # The same name to a reader, and parameters that would be refused or would change something.
    second = call(
        PATH, payload(acme, name=" STRASSE ", mode="Development", ip_pool_id=999_999, privacy_mode=True), key=acme.key
    )

    assert second == success(
        {"server": first | {"already_exists": True, "ip_pool": first["ip_pool"] | {"auto_assigned": False}}}
    )
    assert Server.objects.values().get(uuid=first["uuid"]) == before


@pytest.mark.parametrize("kind", ["api", "smtp"])
def test_a_missing_default_credential_is_made(call, acme, kind):
    first = call(PATH, payload(acme), key=acme.key)["data"]["server"]
    key_of(first["uuid"], kind).delete()
    second = call(PATH, payload(acme), key=acme.key)["data"]["server"]
    assert second["already_exists"] is True
    assert (second["api_key"] != first["api_key"]) == (kind == "api")
    assert (second["smtp_key"] != first["smtp_key"]) == (kind == "smtp")
    assert Credential.objects.filter(server__uuid=first["uuid"], is_default=True).count() == 2


def test_a_deleted_servers_name_is_free(call, acme):
    first = call(PATH, payload(acme), key=acme.key)["data"]["server"]
    delete_server(server=Server.objects.get(uuid=first["uuid"]), at=NOW, actor=SYSTEM)
    second = call(PATH, payload(acme), key=acme.key)["data"]["server"]
    assert second["already_exists"] is False
    assert second["uuid"] != first["uuid"]
    assert second["permalink"] == "new-transactional-server"


def test_the_same_name_in_another_organization_is_another_server(call, acme, globex):
    mine = call(PATH, payload(acme, name="Mail"), key=acme.key)["data"]["server"]
    theirs = call(PATH, payload(globex, name="Mail"), key=globex.key)["data"]["server"]
    assert theirs["already_exists"] is False
    assert mine["uuid"] != theirs["uuid"]
    assert theirs["smtp_user"] == "globex/mail"


@pytest.mark.parametrize(
    ("names", "permalinks"),
    [
        (["Mail!", "mail?", "MAIL."], ["mail", "mail-2", "mail-3"]),
        (["日本", "語"], ["server", "server-2"]),
        (["Crème Brûlée"], ["creme-brulee"]),
        (["x" * 200, "x" * 199], ["x" * 63, "x" * 61 + "-2"]),
    ],
)
def test_permalinks_are_slugs(call, acme, names, permalinks):
    made = [call(PATH, payload(acme, name=name), key=acme.key)["data"]["server"]["permalink"] for name in names]
    assert made == permalinks


# --- automatic assignment ---------------------------------------------------------------------------------------------


def assigned(call, tenant, count, **parameters):
    names = []
    for _ in range(count):
        name = f"Server {Server.objects.count()}"
        server = call(PATH, payload(tenant, name=name, **parameters), key=tenant.key)["data"]["server"]
        assert server["ip_pool"]["auto_assigned"] is True
        names.append(server["ip_pool"]["name"])
    return names


@pytest.mark.storage
def test_pools_take_turns(call, acme, globex):
    for name, ip in (("A", "1.1.1.1"), ("B", "2.2.2.2"), ("C", "3.3.3.3")):
        make_pool(acme.organization, name, ip)
    make_pool(acme.organization, "Without addresses")
    make_pool(globex.organization, "Theirs", "4.4.4.4")
    assert assigned(call, acme, 12) == ["A", "B", "C"] * 4


def test_only_the_least_used_take_turns(call, acme):
    for name, ips in (("A", ["1.1.1.1"]), ("B", ["2.2.2.2", "2.2.2.3"]), ("C", ["3.3.3.3"]), ("D", ["4.4.4.4"])):
        make_pool(acme.organization, name, *ips)
    # Per address: A 30, B 20, C 20.5, D 0. All time counts, however long ago.
    count_address("1.1.1.1", NOW, 30)
    count_address("2.2.2.2", NOW - datetime.timedelta(days=900), 40)
    count_address("3.3.3.3", NOW, 20)
    count_address("3.3.3.3", NOW - datetime.timedelta(days=1), 1)
    assert assigned(call, acme, 5, top_pools_limit=2) == ["D", "B", "D", "B", "D"]
    # C was never assigned, A neither, but A is not among the best three.
    assert assigned(call, acme, 2, top_pools_limit="3") == ["C", "B"]
    assert assigned(call, acme, 1) == ["A"]


def test_a_choice_by_hand_takes_no_turn(call, acme):
    first = make_pool(acme.organization, "A", "1.1.1.1")
    make_pool(acme.organization, "B", "2.2.2.2")
    call(PATH, payload(acme, name="By hand", ip_pool_id=first.pk), key=acme.key)
    assert assigned(call, acme, 2) == ["A", "B"]


# --- without a key ----------------------------------------------------------------------------------------------------


@pytest.fixture
def keyless(acme):
    acme.organization.allow_keyless_create = True
    acme.organization.save()
    return acme


def test_it_works_without_a_key_where_that_is_allowed(call, keyless):
    first = call(PATH, payload(keyless))["data"]["server"]
    assert first["already_exists"] is False
    assert call("servers/show", key=first["api_key"])["status"] == "success"
    # Keys of a server that existed are nobody's to learn by its name.
    second = call(PATH, payload(keyless))
    assert second == success(
        {"server": {k: v for k, v in first.items() if k not in {"api_key", "smtp_key"}} | {"already_exists": True}}
    )


def test_it_rejects_no_key_elsewhere(call, acme, keyless, globex, django_assert_num_queries):
    unknown = {"organization_uuid": "00000000-1111-2222-3333-444444444444", "name": "A"}
    for parameters in (unknown, unknown | {"organization_uuid": "org-uuid-123"}, payload(globex)):
        # The organization, by uuid, where keyless creates are allowed.
        with django_assert_num_queries(1):
            assert call(PATH, parameters) == NO_KEY
    suspend_organization(organization=keyless.organization, reason="", at=NOW, actor=SYSTEM)
    assert call(PATH, payload(keyless)) == NO_KEY


def test_it_says_that_a_quota_is_used_up(call, keyless):
    change_organization(
        at=timezone.now(),
        organization=keyless.organization,
        max_keyless_creations_an_hour=1,
        max_servers=3,
        actor=SYSTEM,
    )
    assert call(PATH, payload(keyless, name="One"))["status"] == "success"
    message = "The organization may make at most 1 servers an hour without a key"
    assert call(PATH, payload(keyless, name="Two")) == error("QuotaExceeded", message)
    assert call(PATH, payload(keyless, name="Two"), key=keyless.key)["status"] == "success"
    expected = error("QuotaExceeded", "The organization may have at most 3 servers")
    assert call(PATH, payload(keyless, name="Three"), key=keyless.key) == expected


def test_a_wrong_key_is_never_keyless(call, keyless):
    assert call(PATH, payload(keyless), key="wrong") == WRONG_KEY
    assert call(PATH, payload(keyless), key="") == WRONG_KEY
    assert Server.objects.count() == 1


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_it_rejects_another_organization(call, acme, globex):
    expected = error("InvalidOrganization", "The organization could not be found with the provided UUID")
    for uuid in (str(globex.organization.uuid), "00000000-1111-2222-3333-444444444444", "org-uuid-123", "\u202e"):
        assert call(PATH, {"organization_uuid": uuid, "name": "A"}, key=acme.key) == expected
    assert Server.objects.count() == 2


def test_it_rejects_a_key_that_may_not(call, acme):
    Credential.objects.filter(server=acme.server, kind="api").update(can_manage_organization=False)
    assert call(PATH, payload(acme), key=acme.key) == error(
        "AccessDenied", "You don't have permission to create servers for this organization"
    )


def test_it_rejects_a_suspended_server(call, suspended):
    assert call(PATH, payload(suspended), key=suspended.key) == SUSPENDED


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"organization_uuid": None}, "organization_uuid is required"),
        ({"organization_uuid": "  "}, "organization_uuid is required"),
        ({"organization_uuid": 5}, "organization_uuid is invalid"),
        ({"organization_uuid": ["x"]}, "organization_uuid is invalid"),
        ({"name": None}, "name is required"),
        ({"name": ""}, "name is required"),
        ({"name": "\t \u2003"}, "name is required"),
        ({"name": 12}, "name is invalid"),
        ({"name": {"a": 1}}, "name is invalid"),
        ({"name": True}, "name is invalid"),
        ({"mode": "live"}, "mode must be either 'Live' or 'Development'"),
        ({"mode": "LIVE"}, "mode must be either 'Live' or 'Development'"),
        ({"mode": 1}, "mode must be either 'Live' or 'Development'"),
        ({"mode": ["Live"]}, "mode must be either 'Live' or 'Development'"),
        ({"ip_pool_id": "one"}, "ip_pool_id is invalid"),
        ({"ip_pool_id": 1.0}, "ip_pool_id is invalid"),
        ({"ip_pool_id": True}, "ip_pool_id is invalid"),
        ({"ip_pool_id": "١"}, "ip_pool_id is invalid"),
        ({"ip_pool_id": 10**30}, "ip_pool_id is invalid"),
        ({"ip_pool_id": 2**63}, "ip_pool_id is invalid"),
        ({"ip_pool_id": "99999999999999999999"}, "ip_pool_id is invalid"),
        ({"ip_pool_id": ""}, "ip_pool_id is invalid"),
        ({"top_pools_limit": 0}, "top_pools_limit is invalid"),
        ({"top_pools_limit": -1}, "top_pools_limit is invalid"),
        ({"top_pools_limit": "x"}, "top_pools_limit is invalid"),
        ({"top_pools_limit": 2.5}, "top_pools_limit is invalid"),
        ({"auto_assign_ip_pool": "yes"}, "auto_assign_ip_pool is invalid"),
        ({"auto_assign_ip_pool": 2}, "auto_assign_ip_pool is invalid"),
        ({"privacy_mode": None}, "privacy_mode is invalid"),
        ({"privacy_mode": []}, "privacy_mode is invalid"),
        ({"skip_provision_database": 1.0}, "skip_provision_database is invalid"),
    ],
    ids=str,
)
def test_it_rejects_wrong_parameters(call, acme, change, message):
    assert call(PATH, payload(acme, **change), key=acme.key) == parameter_error(message)
    assert Server.objects.count() == 1


def test_what_is_missing_is_told_before_what_is_wrong(call, acme):
    assert call(PATH, {"organization_uuid": 5}, key=acme.key) == parameter_error("name is required")


def test_it_rejects_a_long_name(call, acme):
    assert call(PATH, payload(acme, name="x" * 201), key=acme.key) == error(
        "ValidationError", "Name is too long (maximum is 200 characters)"
    )


def test_it_rejects_a_pool_that_is_not_the_organizations(call, acme, globex):
    theirs = make_pool(globex.organization, "Theirs", "4.4.4.4")
    expected = error("ValidationError", "Ip pool is not a pool of this organization")
    for pool_id in (theirs.pk, theirs.pk + 1000, str(theirs.pk), 0, -1, 2**63 - 1, "-1"):
        assert call(PATH, payload(acme, ip_pool_id=pool_id), key=acme.key) == expected
    assert Server.objects.count() == 2


def test_it_rejects_get(call, acme):
    assert call(PATH, key=acme.key, method="GET") == error("MethodNotAllowed", "This URL does not answer this method")


def test_another_servers_key_of_the_organization_works_too(call, acme):
    other = make_server(acme.organization, "Other")
    assert call(PATH, payload(acme), key=other.key)["status"] == "success"
