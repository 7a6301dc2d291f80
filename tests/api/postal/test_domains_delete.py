"""POST|DELETE /api/v1/domains/delete and /api/v1/domains/delete/NAME"""

import pytest

from core.models import AuditEntry
from servers.models import Domain, Server
from tests.api.postal.conftest import golden_family, make_server

pytestmark = pytest.mark.django_db
PATH = "domains/delete"


def unknown(name):
    message = "The domain could not be found with the provided name"
    return {"status": "error", "flags": {}, "data": {"code": "InvalidDomain", "message": message, "name": name}}


@pytest.fixture
def domain(acme):
    return Domain.objects.create(server=acme.server, name="example.com")


@pytest.mark.storage
@pytest.mark.parametrize(
    ("method", "path", "payload"),
    [
        ("POST", PATH, {"name": "example.com"}),
        ("DELETE", PATH, {"name": "Example.COM."}),
        ("DELETE", f"{PATH}?name=example.com", None),
        ("POST", f"{PATH}/example.com", {}),
        ("DELETE", f"{PATH}/EXAMPLE.com", None),
        ("DELETE", f"{PATH}/example.com", {"name": "other.example"}),
    ],
)
def test_it_works(call, acme, globex, domain, method, path, payload):
    other = Domain.objects.create(server=make_server(acme.organization, "Other").server, name="example.com")
    theirs = Domain.objects.create(server=globex.server, name="example.com")
    more = Domain.objects.create(server=acme.server, name="other.example")
    expected = golden_family("domains-delete")
    expected["data"]["domain"]["uuid"] = str(domain.uuid)
    assert call(path, payload, key=acme.key, method=method) == expected
    assert set(Domain.objects.all()) == {other, theirs, more}
    assert AuditEntry.objects.get(act="domain.deleted").target_label == "example.com"


def test_an_internationalised_name_in_the_path(call, acme):
    Domain.objects.create(server=acme.server, name="xn--mnchen-3ya.example")
    assert call(f"{PATH}/m%C3%BCnchen.example", key=acme.key, method="DELETE")["data"]["deleted"] is True


@pytest.mark.parametrize("name", ["unknown.example", "not a domain", "globex.example", "\U0001f600", "x" * 5000])
def test_it_rejects_unknown_and_foreign_names_alike(call, acme, globex, domain, name, django_assert_num_queries):
    Domain.objects.create(server=globex.server, name="globex.example")
    call(PATH, {"name": "x.example"}, key=acme.key)
    # 1. the key; 2. the domain, among the server's own.
    with django_assert_num_queries(2):
        assert call(PATH, {"name": name}, key=acme.key) == unknown(name)
    assert Domain.objects.count() == 2


def test_it_rejects_another_servers_domain(call, acme, domain):
    other = make_server(acme.organization, "Other")
    assert call(PATH, {"name": "example.com"}, key=other.key) == unknown("example.com")
    assert Server.objects.get(pk=acme.server.pk).domains.count() == 1


def test_it_is_deleted_once(call, acme, domain):
    call(PATH, {"name": "example.com"}, key=acme.key)
    assert call(PATH, {"name": "example.com"}, key=acme.key) == unknown("example.com")


def test_a_missing_name(call, acme):
    answer = call(PATH, key=acme.key)
    assert (answer["status"], answer["data"]) == ("parameter-error", {"message": "name is required"})
