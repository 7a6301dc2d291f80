"""GET|POST /api/v1/servers/list"""

import datetime

import pytest

from servers.models import Credential, Domain, Organization, Route, Server, Webhook
from servers.provisioning import delete_server, suspend_server
from tests.api.postal.conftest import NO_KEY, NOW, SUSPENDED, SYSTEM, WRONG_KEY, golden, make_pool, make_server, success

pytestmark = pytest.mark.django_db
PATH = "servers/list"
THEN = datetime.datetime(2023, 1, 1, 12, tzinfo=datetime.UTC)


def furnish(server: Server, *, domains: int, credentials: int, webhooks: int, routes: int) -> None:
    for number in range(domains):
        Domain.objects.create(server=server, name=f"{number}.example", dkim_public_key="x")
    for number in range(credentials - server.credentials.count()):
        Credential.objects.create(
            server=server, kind="api", name="Extra", key_digest=f"{server.pk}-{number}", key_ciphertext="x"
        )
    for number in range(webhooks):
        Webhook.objects.create(server=server, name=str(number), url="https://example.com/")
    for number in range(routes):
        Route.objects.create(server=server, name=str(number))


@pytest.mark.storage
def test_it_works(call, acme, globex):
    pool = make_pool(acme.organization, "Main", "1.1.1.1")
    marketing = make_server(acme.organization, "Marketing Server").server
    furnish(marketing, domains=3, credentials=2, webhooks=1, routes=5)
    furnish(acme.server, domains=5, credentials=3, webhooks=2, routes=8)
    furnish(globex.server, domains=1, credentials=2, webhooks=1, routes=1)
    Server.objects.update(ip_pool=pool, created_at=THEN, updated_at=THEN)

    expected = golden("servers-list")
    first, second = expected["data"]["servers"]
    first |= {"uuid": str(marketing.uuid), "ip_pool_id": pool.pk}
    second |= {"uuid": str(acme.server.uuid), "ip_pool_id": pool.pk}
    answer = call(PATH, {}, key=acme.key)
    assert answer == expected
    assert list(answer["data"]["servers"][0]) == list(first)
    assert call(PATH, key=acme.key, method="GET") == expected


def test_what_is_missing_or_over(call, acme):
    gone = make_server(acme.organization, "Gone").server
    delete_server(server=gone, at=NOW, actor=SYSTEM)
    for name, until in (("Sus A", None), ("Sus B", NOW + datetime.timedelta(days=1))):
        server = make_server(acme.organization, name, mode="development", privacy_mode=True).server
        suspend_server(server=server, reason="Spam", at=NOW, until=until, actor=SYSTEM)
    over = make_server(acme.organization, "Sus C").server
    Server.objects.filter(pk=over.pk).update(
        suspended_at=NOW - datetime.timedelta(days=2), suspended_until=NOW - datetime.timedelta(days=1)
    )
    rows = call(PATH, key=acme.key)["data"]["servers"]
    assert [(row["name"], row["suspended"], row["mode"], row["privacy_mode"], row["ip_pool_id"]) for row in rows] == [
        ("Sus A", True, "Development", True, None),
        ("Sus B", True, "Development", True, None),
        ("Sus C", False, "Live", False, None),
        ("Transactional Server", False, "Live", False, None),
    ]


def test_they_are_ordered_by_name_whatever_its_case(call, acme):
    for name in ("beta", "Alpha", "ÉTÉ", "zeta", "été 2"):
        make_server(acme.organization, name)
    names = [row["name"] for row in call(PATH, key=acme.key)["data"]["servers"]]
    assert names[:3] == ["Alpha", "beta", "Transactional Server"]


@pytest.mark.parametrize("number", [1, 30])
def test_it_takes_a_constant_number_of_queries(call, acme, number, django_assert_num_queries):
    Server.objects.bulk_create(
        Server(organization=acme.organization, name=f"S{index}", permalink=f"s{index}") for index in range(number)
    )
    call(PATH, key=acme.key)
    # 1. the key; 2. the servers with their counts.
    with django_assert_num_queries(2):
        assert len(call(PATH, key=acme.key)["data"]["servers"]) == number + 1


def test_it_sees_only_its_own_organization(call, acme, globex):
    rows = call(PATH, {"organization_uuid": str(globex.organization.uuid)}, key=acme.key)["data"]["servers"]
    assert [row["uuid"] for row in rows] == [str(acme.server.uuid)]


def test_it_rejects_wrong_keys(call, acme, suspended):
    assert call(PATH) == NO_KEY
    assert call(PATH, key="wrong") == WRONG_KEY
    assert call(PATH, key=suspended.key) == SUSPENDED
    Organization.objects.update(suspended_at=NOW)
    assert call(PATH, key=acme.key) == SUSPENDED


def test_an_organization_alone(call, acme):
    answer = call(PATH, key=acme.key)
    assert answer == success({"servers": answer["data"]["servers"]})
    assert len(answer["data"]["servers"]) == 1
