"""servers.provisioning.create_server: the act behind the API's create, the command and the page."""

import pytest

from core.audit import snapshot
from core.encryption import decrypt
from core.errors import Invalid, NotFound
from servers.access import authenticate_key
from servers.models import Credential, Organization, OrganizationPool, Server
from servers.provisioning import create_server, delete_server
from tests.cast import ANN, NOW, SYSTEM, make_pool, written_by
from tests.factories import OrganizationFactory

pytestmark = pytest.mark.django_db


@pytest.mark.storage
def test_it_works(acme):
    pool = make_pool(acme.organization, "Main", "192.0.2.1")
    made = create_server(
        organization=acme.organization, name=" Mail ", mode="development", pool=pool, privacy_mode=True,
        skip_provision_database=True, actor=ANN,
    )  # fmt: skip
    server = Server.objects.get(pk=made.server.pk)
    assert (made.already_exists, made.auto_assigned) == (False, False)
    assert (server.organization, server.name, server.permalink, server.mode) == (
        acme.organization, "Mail", "mail", "development",
    )  # fmt: skip
    assert (server.ip_pool, server.privacy_mode, server.skip_provision_database) == (pool, True, True)
    assert (server.suspended_at, server.deleted_at, server.send_limit) == (None, None, None)

    api, smtp = server.credentials.order_by("pk")
    assert (made.api_credential, made.smtp_credential) == (api, smtp)
    assert [(each.kind, each.name, each.is_default, each.can_manage_organization) for each in (api, smtp)] == [
        ("api", "Default API key", True, True),
        ("smtp", "Default SMTP key", True, False),
    ]
    key = decrypt(api.key_ciphertext)
    assert authenticate_key(key, at=NOW).server_id == server.pk
    assert written_by(ANN) == [
        ("server.created", "Mail", acme.organization.pk),
        ("credential.created", "Default API key (API)", acme.organization.pk),
        ("credential.created", "Default SMTP key (SMTP)", acme.organization.pk),
    ]


@pytest.mark.storage
def test_the_same_name_is_the_same_server(acme):
    first = create_server(organization=acme.organization, name="Straße", actor=SYSTEM)
    before = snapshot(Server.objects.get(pk=first.server.pk))
    # Whatever else is asked for, wrong or not.
    again = create_server(
        organization=acme.organization, name="STRASSE", mode="nonsense", pool=10**30, privacy_mode=True,
        ranked_pool_ids=[1], actor=ANN,
    )  # fmt: skip
    assert (again.already_exists, again.auto_assigned, again.server) == (True, False, first.server)
    assert (again.api_credential, again.smtp_credential) == (first.api_credential, first.smtp_credential)
    assert snapshot(Server.objects.get(pk=first.server.pk)) == before
    assert written_by(ANN) == []


@pytest.mark.parametrize("kind", ["api", "smtp"])
def test_a_missing_default_credential_is_made_again(acme, kind):
    Credential.objects.filter(server=acme.server, kind=kind).delete()
    again = create_server(organization=acme.organization, name=acme.server.name, actor=ANN)
    assert again.already_exists is True
    made = again.api_credential if kind == "api" else again.smtp_credential
    assert (made.is_default, made.can_manage_organization) == (True, kind == "api")
    assert [act for act, _, _ in written_by(ANN)] == ["credential.created"]


def test_a_deleted_servers_name_and_permalink_are_free(acme):
    delete_server(server=acme.server, at=NOW, actor=SYSTEM)
    made = create_server(organization=acme.organization, name=acme.server.name, actor=ANN)
    assert made.already_exists is False
    assert made.server != acme.server
    assert made.server.permalink == acme.server.permalink


def test_another_organizations_server_of_the_name_is_another(acme, globex):
    made = create_server(organization=globex.organization, name=acme.server.name, actor=ANN)
    assert made.already_exists is False
    assert made.server.organization == globex.organization


# --- pools ------------------------------------------------------------------------------------------------------------


def test_it_takes_turns_among_the_ranked_pools(acme, globex):
    pools = [make_pool(acme.organization, name).pk for name in "ABC"]
    theirs = make_pool(globex.organization, "Theirs").pk

    def assigned(ranked):
        name = f"Server {Server.objects.count()}"
        made = create_server(organization=acme.organization, name=name, ranked_pool_ids=ranked, actor=SYSTEM)
        assert made.auto_assigned == (made.server.ip_pool is not None)
        return made.server.ip_pool_id

    a, b, c = pools
    assert [assigned([theirs, c, a, b]) for _ in range(7)] == [c, a, b, c, a, b, c]
    # Only ranked ones, and never before oldest: b was assigned after a.
    assert [assigned([b, a]) for _ in range(3)] == [a, b, a]
    assert [assigned(ranked) for ranked in ([], [theirs], [10**30])] == [None, None, None]
    assert sorted(OrganizationPool.objects.values_list("pool_id", "last_assigned_seq")) == [
        (a, 10), (b, 9), (c, 7), (theirs, 0),
    ]  # fmt: skip


def test_a_chosen_pool_takes_no_turn(acme):
    first, second = (make_pool(acme.organization, name) for name in "AB")
    made = create_server(
        organization=acme.organization, name="By hand", pool=first.pk, ranked_pool_ids=[second.pk], actor=SYSTEM
    )
    assert (made.server.ip_pool, made.auto_assigned) == (first, False)
    assert set(OrganizationPool.objects.values_list("last_assigned_seq", flat=True)) == {0}


def test_it_rejects_a_pool_that_is_not_the_organizations(acme, globex):
    theirs = make_pool(globex.organization, "Theirs")
    for pool in (theirs, theirs.pk, 0, -1, 2**63, 10**30):
        with pytest.raises(Invalid, match=r"^ip_pool_id is not a pool of this organization$"):
            create_server(organization=acme.organization, name="New", pool=pool, actor=ANN)
    assert Server.objects.count() == 2
    assert written_by(ANN) == []


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": ""}, "name is required"),
        ({"name": "\u200b"}, "name is required"),
        ({"name": "a\x00b"}, "name must not contain control characters"),
        ({"name": "\udfff"}, "name must not contain control characters"),
        ({"name": "x" * 201}, "name is too long (maximum is 200 characters)"),
        ({"mode": "Live"}, "mode must be live or development"),
        ({"mode": ["live"]}, "mode must be live or development"),
    ],
    ids=str,
)
def test_it_rejects(acme, change, message):
    with pytest.raises(Invalid) as refusal:
        create_server(**{"organization": acme.organization, "name": "New", "actor": ANN} | change)
    assert refusal.value.message == message
    assert Server.objects.count() == 1
    assert written_by(ANN) == []


def test_an_organization_that_is_gone_is_not_found():
    gone = OrganizationFactory()
    Organization.objects.filter(pk=gone.pk).delete()
    with pytest.raises(NotFound, match="organization could not be found"):
        create_server(organization=gone, name="New", actor=ANN)
