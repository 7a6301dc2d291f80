"""servers.client_networks: nobody claims the clients of another organization, or of everybody."""

import datetime
import ipaddress
import threading
import time

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from core import lockout
from core.audit import Actor
from core.errors import Invalid, NotAllowed
from core.models import User
from nodes.policy.read import read_overlay
from servers import client_networks
from servers.client_networks import Claim, contested
from servers.credentials import (
    create_network_credential,
    delete_credential,
    hold_credential,
    release_credential,
    share_network,
)
from servers.locks import lock_organization
from servers.models import Credential
from servers.provisioning import delete_server, restore_server, suspend_server
from tests.cast import ANN, NOW, SYSTEM
from tests.races import at_once, in_the_open
from tests.slowness import on_this_machine

pytestmark = pytest.mark.django_db
NOT_BY_ITSELF = "network cannot be added by the organization itself: ask the platform to add it"


def claim(tenant, network, actor=ANN):
    return create_network_credential(server=tenant.server, name="Office", network=network, at=NOW, actor=actor)


@pytest.mark.storage
@pytest.mark.parametrize("network", ["198.51.100.7", "198.51.100.0/24", "198.51.0.0/16"])
def test_a_network_of_others_is_refused_whatever_its_size(acme, globex, network):
    claim(acme, "198.51.100.0/24")
    with pytest.raises(Invalid, match=NOT_BY_ITSELF):
        claim(globex, network)
    assert Credential.objects.filter(kind="smtp_ip").count() == 1
    # Its own may overlap: the narrower counts.
    claim(acme, network)
    claim(globex, "203.0.113.0/24")
    claim(globex, "2001:db8::/32")


def test_one_that_is_held_is_still_anothers_and_a_deleted_one_is_not(acme, globex):
    first = hold_credential(credential=claim(acme, "198.51.100.0/24"), at=NOW, actor=ANN)
    with pytest.raises(Invalid, match=NOT_BY_ITSELF):
        claim(globex, "198.51.100.0/24")
    delete_credential(credential=first, actor=ANN)
    claim(globex, "198.51.100.0/24")
    delete_server(server=globex.server, at=NOW, actor=ANN)
    claim(acme, "198.51.100.0/24")


@pytest.mark.parametrize("network", ["0.0.0.0/0", "::/0", "8.0.0.0/8", "198.48.0.0/13", "2600::/16"])
def test_nobody_claims_the_clients_of_a_large_part_of_the_internet(acme, network):
    with pytest.raises(Invalid, match=r"must not be larger than /(16|32): ask the platform"):
        claim(acme, network)


def test_networks_of_an_own_site_may_be_large(acme):
    claim(acme, "10.0.0.0/8")
    claim(acme, "fc00::/7")


def test_the_platform_decides_otherwise(acme, globex):
    claim(acme, "198.51.100.0/24")
    root = User.objects.create(username="root", is_staff=True, is_superuser=True)
    for actor, network in ((SYSTEM, "198.51.100.7"), (Actor.of_user(root), "0.0.0.0/0")):
        claim(globex, network, actor)


@pytest.mark.storage
def test_nobody_goes_through_the_networks_of_others(acme, globex):
    """Each refusal, and each network that is not refused, told of others: a tenant found their networks by halving."""
    claim(globex, "198.51.100.0/24")
    for n in range(lockout.DAILY_GUESSES[lockout.Guess.NETWORK]):
        if n % 2:
            delete_credential(credential=claim(acme, f"203.0.113.{n}"), actor=ANN)
        else:
            with pytest.raises(Invalid, match=NOT_BY_ITSELF):
                claim(acme, f"198.51.100.{n}")
    # From here on nothing is compared, and nothing tells so.
    for network in ("198.51.100.0/24", "203.0.113.0/24"):
        with pytest.raises(Invalid, match=NOT_BY_ITSELF):
            claim(acme, network)
    claim(acme, "203.0.113.0/24", SYSTEM)
    claim(globex, "192.0.2.0/24")
    create_network_credential(
        server=acme.server, name="N", network="192.0.3.0/24", at=NOW + datetime.timedelta(days=1), actor=ANN
    )


@in_the_open
def test_of_two_at_once_one_has_it(acme, globex):
    outcomes = at_once(lambda: claim(acme, "198.51.100.0/24"), lambda: claim(globex, "198.51.100.7"))
    assert sorted(type(each) is Invalid for each in outcomes) == [False, True]


# --- Overlaps that are there all the same ---------------------------------------------------------------------------


def claims(*texts):
    """Claims as "organization network", with "!" where the platform shares it."""
    rows = [text.split() for text in texts]
    return [Claim(n, network, ord(whose[0]), whose.endswith("!")) for n, (whose, network) in enumerate(rows)]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["a 192.0.2.0/24", "b 192.0.2.0/24"], {0, 1}),
        (["a 192.0.2.0/24", "b 192.0.2.7/32", "c 198.51.100.0/24"], {0, 1}),
        # Of several around it, also beyond its own.
        (["a 10.0.0.0/8", "b 10.1.0.0/16", "b 10.1.1.0/24", "a 10.2.0.0/16"], {0, 1, 2}),
        (["a 10.1.1.0/24", "b 10.2.0.0/16", "a 10.0.0.0/8"], {1, 2}),
        (["a 10.0.0.0/8", "a 10.1.0.0/16"], set()),
        (["a 192.0.2.0/25", "b 192.0.2.128/25"], set()),
        (["a 2001:db8::/32", "b 2001:db8:1::/48", "b 32.1.13.184/32"], {0, 1}),
        (["a 0.0.0.0/0", "b ::/0"], set()),
        # The platform has decided.
        (["a! 10.0.0.0/8", "b 10.1.0.0/16"], set()),
        (["a! 10.0.0.0/8", "b 10.1.0.0/16", "c 10.1.1.0/24"], {1, 2}),
    ],
)
def test_of_an_overlap_both_are_contested(given, expected):
    assert contested(claims(*given)) == expected
    assert contested(reversed(claims(*given))) == expected


def test_one_network_by_thousands_of_credentials_costs_no_more_than_as_many_networks():
    """Each overlay of a node and each page of credentials compares them: 12,000 took three seconds, 100,000 minutes."""
    many = [Claim(n, "198.51.100.0/24", 1, is_shared=False) for n in range(12_000)]
    began = time.process_time()
    assert contested(many) == set()
    assert contested([*many, Claim(-1, "198.51.100.7/32", 2, is_shared=False)]) == {-1, *range(12_000)}
    assert time.process_time() - began < on_this_machine(1)


@pytest.fixture
def root(db):
    return Actor.of_user(User.objects.create(username="root", is_staff=True, is_superuser=True))


def forced(tenant, network):
    """A credential from before overlaps were refused."""
    return Credential.objects.create(server=tenant.server, kind="smtp_ip", name="Office", network=network)


def taken(*tenants):
    """Return by which networks nodes take mail, and for whom."""
    overlay = read_overlay(virtual_mtas=[], servers={each.server.pk: each.smtp_user for each in tenants}, at=NOW)
    return {(each.network, each.tenant) for each in overlay.networks}


@pytest.mark.storage
def test_nodes_take_mail_by_neither_of_two_until_the_platform_decides(acme, globex, root):
    theirs, others = forced(acme, "198.51.100.0/24"), forced(globex, "198.51.100.7/32")
    forced(acme, "203.0.113.0/24")
    # Whether or not it has been noticed.
    alone = {("203.0.113.0/24", acme.smtp_user)}
    assert taken(acme, globex) == alone
    assert client_networks.settle(at=NOW) == 2
    assert taken(acme, globex) == alone
    # Nor where the other's server is on another node.
    assert taken(acme) == alone
    with pytest.raises(NotAllowed):
        share_network(credential=others, actor=ANN)
    share_network(credential=others, actor=root)
    assert client_networks.settle(at=NOW) == 0
    assert taken(acme, globex) == alone | {
        ("198.51.100.0/24", acme.smtp_user),
        ("198.51.100.7/32", globex.smtp_user),
    }
    assert not Credential.objects.filter(is_contested=True).exists()
    delete_credential(credential=theirs, actor=ANN)


@pytest.mark.storage
def test_what_is_held_expired_or_of_a_deleted_server_contests_nothing(acme, globex):
    first, second = forced(acme, "198.51.100.0/24"), forced(globex, "198.51.100.0/24")
    assert client_networks.settle(at=NOW) == 2
    hold_credential(credential=first, at=NOW, actor=ANN)
    assert client_networks.settle(at=NOW) == 0
    assert taken(acme, globex) == {("198.51.100.0/24", globex.smtp_user)}
    Credential.objects.filter(pk=first.pk).update(held_at=None, expires_at=NOW)
    assert client_networks.settle(at=NOW) == 0
    Credential.objects.filter(pk=first.pk).update(expires_at=None)
    assert client_networks.settle(at=NOW) == 2
    suspend_server(server=globex.server, reason="Unpaid", at=NOW, actor=SYSTEM)
    assert client_networks.settle(at=NOW) == 2, "it may be resumed"
    delete_server(server=globex.server, at=NOW, actor=SYSTEM)
    assert client_networks.settle(at=NOW) == 0
    assert taken(acme) == {("198.51.100.0/24", acme.smtp_user)}
    assert second.pk


@pytest.mark.storage
@pytest.mark.parametrize("who", ["tenant", "platform"])
def test_a_network_that_returns_with_a_restored_server_takes_nobodys_mail(who, acme, globex, root):
    returning, own = claim(acme, "198.51.100.0/24"), claim(acme, "203.0.113.0/24")
    delete_server(server=acme.server, at=NOW, actor=ANN)
    claim(globex, "198.51.100.7")
    restore_server(server=acme.server, at=NOW, actor=ANN if who == "tenant" else root)
    returning.refresh_from_db()
    own.refresh_from_db()
    assert (returning.held_at, own.held_at) == (NOW, None)
    assert taken(acme, globex) == {("203.0.113.0/24", acme.smtp_user), ("198.51.100.7/32", globex.smtp_user)}
    with pytest.raises(Invalid, match=NOT_BY_ITSELF):
        release_credential(credential=returning, actor=ANN)
    release_credential(credential=returning, actor=root)
    assert client_networks.settle(at=NOW) == 0
    assert ("198.51.100.0/24", acme.smtp_user) in taken(acme, globex)


def read_of_networks():
    """Return how many rows of credentials this transaction has read, and found by indexes."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_stat_get_xact_tuples_returned(oid) + pg_stat_get_xact_tuples_fetched(oid) FROM pg_class"
            " WHERE oid = 'servers_credential'::regclass"
        )
        return cursor.fetchone()[0]


@pytest.mark.storage
def test_a_network_is_compared_with_those_around_and_within_it_alone(acme, globex):
    """All networks of the platform were read, while all others that add one waited."""
    others = [f"10.{n // 250}.{n % 250}.0/24" for n in range(3_000)]
    Credential.objects.bulk_create(
        Credential(server=globex.server, kind="smtp_ip", name="Office", network=network) for network in others
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE servers_credential")
    asked = {"10.0.0.0/8": True, "10.3.4.5/32": True, "10.3.0.0/16": True, "10.200.0.0/16": False, "fc00::/128": False}
    networks = dict(enumerate(map(ipaddress.ip_network, asked)))
    with CaptureQueriesContext(connection) as queries:
        found = client_networks.overlapping(networks, organization_id=acme.organization.pk)
    assert found == {n for n, overlaps in enumerate(asked.values()) if overlaps}
    [query] = [each["sql"] for each in queries if "servers_credential" in each["sql"]]
    if connection.vendor == "postgresql":
        before = read_of_networks()
        client_networks.overlapping(networks, organization_id=acme.organization.pk)
        assert read_of_networks() - before < 50
    else:
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN QUERY PLAN {query}")
            plan = [row[3] for row in cursor.fetchall()]
        assert [each for each in plan if each.startswith("SEARCH other USING INDEX servers_credential_network")], plan


@pytest.mark.storage
def test_what_a_version_before_wrote_during_an_upgrade_is_compared_too(acme, globex):
    theirs = forced(globex, "198.51.100.0/24")
    Credential.objects.filter(pk=theirs.pk).update(network_key="")
    client_networks.settle(at=NOW)
    with pytest.raises(Invalid, match=NOT_BY_ITSELF):
        claim(acme, "198.51.100.7")


@pytest.mark.storage
def test_a_server_that_returns_with_many_networks_reads_those_of_others_once(
    acme, globex, django_assert_max_num_queries
):
    """Each was compared by a query of its own, while all other organizations waited for the lock."""
    for n in range(30):
        forced(acme, f"198.51.100.{n}/32")
    delete_server(server=acme.server, at=NOW, actor=ANN)
    for network in ("198.51.100.4/31", "198.51.100.20/32", "198.51.100.0/30", "198.51.100.2/31"):
        forced(globex, network)
    with django_assert_max_num_queries(60):
        restore_server(server=acme.server, at=NOW, actor=ANN)
    held = Credential.objects.filter(server=acme.server).exclude(held_at=None).order_by("pk")
    assert [each.network for each in held] == [f"198.51.100.{n}/32" for n in (0, 1, 2, 3, 4, 5, 20)]


@in_the_open
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer")
def test_whose_organization_is_busy_keeps_no_other_waiting(acme, globex):
    """Such as by a large import of its own: the lock of all networks was taken before that of the organization."""
    waits, claimed = threading.Event(), threading.Event()

    @transaction.atomic
    def be_busy():
        lock_organization(acme.organization.pk)
        waits.set()
        assert claimed.wait(20)

    def of_the_busy():
        waits.wait()
        return claim(acme, "203.0.113.0/24")

    def of_another():
        waits.wait()
        # The other one waits by now.
        time.sleep(0.5)
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '3s'")
            try:
                return claim(globex, "198.51.100.0/24")
            finally:
                claimed.set()

    busy, own, another = at_once(be_busy, of_the_busy, of_another)
    assert (busy, own.network, another.network) == (None, "203.0.113.0/24", "198.51.100.0/24")


@in_the_open
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer")
def test_releasing_waits_for_the_lock_of_networks_before_it_locks_the_credential(acme, globex):
    """The other way round it and the one that marks what is contested waited for each other."""
    held = hold_credential(credential=claim(acme, "198.51.100.0/24"), at=NOW, actor=ANN)
    waits, done = threading.Event(), threading.Event()

    @transaction.atomic
    def mark():
        client_networks.serialize()
        waits.set()
        time.sleep(0.5)
        Credential.objects.filter(pk=held.pk).update(is_contested=False)
        done.set()

    def release():
        waits.wait()
        return release_credential(credential=held, actor=ANN).held_at

    assert at_once(mark, release) == [None, None]
    assert done.is_set()


def test_a_held_network_of_ones_own_is_released_as_before(acme, globex):
    held = hold_credential(credential=claim(acme, "198.51.100.0/24"), at=NOW, actor=ANN)
    assert release_credential(credential=held, actor=ANN).held_at is None
