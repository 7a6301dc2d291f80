"""Callers at the same time, in real threads with connections of their own."""

import threading
from collections import Counter

import pytest
from django.db import connection, connections

from ippools.models import IPAddress, IPPool
from servers.models import Credential, Domain, OrganizationPool, Server
from tests.api.postal.conftest import Caller, make_pool

pytestmark = pytest.mark.django_db(transaction=True)

TWELVE = 12


@pytest.fixture(autouse=True)
def _postgresql():
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one writer at a time")


def at_once(*calls):
    """Run every call in a thread of its own, released together, and return their answers in order."""
    barrier = threading.Barrier(len(calls))
    answers = [None] * len(calls)

    def run(index, each):
        try:
            barrier.wait()
            answers[index] = each()
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def creating(tenant, name, **parameters):
    payload = {"organization_uuid": str(tenant.organization.uuid), "name": name} | parameters
    return lambda: Caller()("servers/create", payload, key=tenant.key)["data"]["server"]


def test_twelve_creates_of_one_name_give_one_server(acme):
    names = ["Straße", "STRASSE", "strasse"] * 4
    answers = at_once(*(creating(acme, name) for name in names))
    assert Counter(each["already_exists"] for each in answers) == {True: 11, False: 1}
    assert len({(each["uuid"], each["api_key"], each["smtp_key"]) for each in answers}) == 1
    server = Server.objects.exclude(pk=acme.server.pk).get()
    assert Credential.objects.filter(server=server).count() == 2


def test_creates_at_once_share_the_pools_evenly(acme):
    for name, ip in (("A", "1.1.1.1"), ("B", "2.2.2.2"), ("C", "3.3.3.3")):
        make_pool(acme.organization, name, ip)
    answers = at_once(*(creating(acme, f"Server {number}") for number in range(TWELVE)))
    assert Counter(each["ip_pool"]["name"] for each in answers) == {"A": 4, "B": 4, "C": 4}
    assert sorted(OrganizationPool.objects.values_list("last_assigned_seq", flat=True)) == [10, 11, 12]
    assert len({each["permalink"] for each in answers}) == TWELVE


def test_names_that_make_one_permalink(acme):
    answers = at_once(*(creating(acme, "Mail" + "!" * number) for number in range(TWELVE)))
    assert {each["permalink"] for each in answers} == {"mail", *(f"mail-{number}" for number in range(2, 13))}


def test_twelve_pools_of_one_name_give_one_pool(acme):
    payload = {"name": "Apple", "ips": ["1.1.1.1", "2.2.2.2"]}
    answers = at_once(*(lambda: Caller()("servers/ip_pools/create", payload, key=acme.key) for _ in range(TWELVE)))
    outcomes = Counter(each["data"].get("message", "made") for each in answers)
    assert outcomes == {"made": 1, "Name has already been taken": 11}
    assert (IPPool.objects.count(), IPAddress.objects.count()) == (1, 2)


def test_two_tenants_who_want_one_address(acme, globex):
    def pool(tenant):
        payload = {"name": "Apple", "ips": ["1.1.1.1", "2.2.2.2"]}
        return lambda: Caller()("servers/ip_pools/create", payload, key=tenant.key)["data"]

    answers = at_once(*(pool(tenant) for tenant in (acme, globex)))
    # One has both, the other is told that both are taken.
    assert sorted(len(each["ip_pool"]["ip_addresses"]) for each in answers) == [0, 2]
    assert sorted(len(each.get("warnings", [])) for each in answers) == [0, 2]
    assert IPAddress.objects.count() == 2


def test_a_server_is_deleted_once(acme):
    answers = at_once(*(lambda: Caller()("servers/delete", key=acme.key) for _ in range(6)))
    outcomes = Counter(each["data"].get("code", "deleted") for each in answers)
    assert outcomes["deleted"] == 1
    assert set(outcomes) <= {"deleted", "DeletionError", "InvalidServerAPIKey"}


def test_a_keys_use_is_noted_once(acme):
    at_once(*(lambda: Caller()("servers/list", key=acme.key) for _ in range(6)))
    assert Credential.objects.filter(last_used_at__isnull=False).count() == 1
    assert Domain.objects.count() == 0
