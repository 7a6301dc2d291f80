"""manage.py create_ip_address"""

import pytest

from core.audit import Actor
from ippools.models import IPAddress, IPPool
from servers.pools import grant_pool, pools_of
from tests.cast import SYSTEM, make_pool, written_by
from tests.factories import IPPoolFactory, default_template

pytestmark = pytest.mark.django_db
COMMAND = "create_ip_address"
IN_MAIN = ["--organization", "acme", "--pool", "Main"]


@pytest.mark.storage
def test_it_works(run):
    document = run(COMMAND, "192.0.2.1", "mail.example", "--json").document
    address = IPAddress.objects.get()
    assert document == {
        "id": address.pk, "ipv4": "192.0.2.1", "ipv6": None, "hostname": "mail.example", "priority": 100,
    }  # fmt: skip
    assert list(document) == ["id", "ipv4", "ipv6", "hostname", "priority"]
    assert (address.name, address.template) == ("ip-192.0.2.1", default_template())
    assert not address.pools.exists()
    assert written_by(Actor.of_command(COMMAND)) == [("ip_address.created", "192.0.2.1", None)]


@pytest.mark.storage
def test_it_takes_every_option(run, acme, globex):
    pool = make_pool(acme.organization, "Main")
    theirs = make_pool(globex.organization, "Main")
    document = run(
        COMMAND, "192.0.2.1", "mail.example", "--ipv6", "2001:DB8::1", "--priority", "0", "--organization", "acme",
        "--pool", "MAIN", "--json",
    ).document  # fmt: skip
    address = IPAddress.objects.get()
    assert document == {
        "id": address.pk, "ipv4": "192.0.2.1", "ipv6": "2001:db8::1", "hostname": "mail.example", "priority": 0,
    }  # fmt: skip
    assert list(address.pools.all()) == [pool]
    assert not theirs.addresses.exists()
    assert written_by(Actor.of_command(COMMAND)) == [
        ("ip_address.created", "192.0.2.1", acme.organization.pk),
        ("ip_pool.members_added", "Main", acme.organization.pk),
    ]


@pytest.mark.storage
def test_it_takes_what_the_world_sees(run):
    run(
        COMMAND, "10.0.0.5", "mail.example", "--ipv6", "fd00::1", "--public-ipv4", "198.51.100.7",
        "--public-ipv6", "2001:DB8::1",
    )  # fmt: skip
    address = IPAddress.objects.get()
    assert (address.public_ipv4, address.public_ipv6) == ("198.51.100.7", "2001:db8::1")


def test_it_rejects_what_the_world_does_not_see(run):
    ended = run(COMMAND, "10.0.0.5", "mail.example", "--public-ipv4", "192.168.0.1", "--json")
    assert ended.error == "Public_ipv4 is not a public address: receivers cannot see it."
    assert not IPAddress.objects.exists()


def test_a_pool_that_is_not_there_is_made(run, acme):
    # Another organization's, or one of the platform's that was not granted, is none of its own.
    IPPoolFactory(name="Main")
    run(COMMAND, "192.0.2.1", "mail.example", *IN_MAIN)
    pool = pools_of(acme.organization).get()
    assert (pool.name, pool.namespace) == ("Main", acme.organization.uuid)
    assert list(pool.addresses.values_list("ipv4", flat=True)) == ["192.0.2.1"]


def test_its_own_pool_comes_before_a_granted_one(run, acme):
    granted = IPPoolFactory(name="Main")
    grant_pool(organization=acme.organization, pool=granted, actor=SYSTEM)
    run(COMMAND, "192.0.2.1", "mail.example", *IN_MAIN)
    assert granted.addresses.count() == 1
    own = make_pool(acme.organization, "Main")
    run(COMMAND, "192.0.2.2", "mail.example", *IN_MAIN)
    assert own.addresses.count() == 1


def test_it_tells_a_person(run):
    ended = run(COMMAND, "192.0.2.1", "mail.example")
    assert ended.stdout == f"The IP address 192.0.2.1 (mail.example) has the id {IPAddress.objects.get().pk}\n"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["192.0.2.256", "mail.example"], "Ipv4 must be a valid dotted-decimal IPv4 address."),
        (["192.0.2.9", "mail.example"], "Ipv4 has already been taken."),
        (["192.0.2.1", ""], "Hostname must be from 1 to 200 characters in length."),
        (["192.0.2.1", "192.0.2.1"], "Hostname must not be an IPv4 address."),
        (["192.0.2.1", "mail.example", "--ipv6", "1.1.1.1"], "Ipv6 must be null or a valid IPv6 address."),
        (["192.0.2.1", "mail.example", "--priority", "101"], "Priority must be an integer from 0 to 100."),
        (
            ["x", "", "--priority", "-1"],
            (
                "Priority must be an integer from 0 to 100; ipv4 must be a valid dotted-decimal IPv4 address; hostname must "
                "be from 1 to 200 characters in length."
            ),
        ),
        (["192.0.2.1", "m", "--pool", "Main"], "--organization and --pool must be given together."),
        (["192.0.2.1", "m", "--organization", "acme"], "--organization and --pool must be given together."),
        (
            ["192.0.2.1", "m", "--organization", "nobody", "--pool", "Main"],
            'The organization "nobody" could not be found.',
        ),
        (["192.0.2.1", "m", "--organization", "acme", "--pool", " "], "Pool is required."),
    ],
)
def test_it_rejects(run, acme, arguments, error):
    make_pool(acme.organization, "There", "192.0.2.9")
    ended = run(COMMAND, *arguments, "--json")
    assert (ended.stdout, ended.error) == ("", error)
    # All or nothing: no address is left without its pool.
    assert (IPAddress.objects.count(), IPPool.objects.count()) == (1, 1)
