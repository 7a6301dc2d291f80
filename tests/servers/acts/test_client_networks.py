"""servers.client_networks: nobody claims the clients of another organization, or of everybody."""

import pytest

from core.audit import Actor
from core.errors import Invalid
from core.models import User
from servers.credentials import create_network_credential, delete_credential, hold_credential
from servers.models import Credential
from servers.provisioning import delete_server
from tests.cast import ANN, NOW, SYSTEM
from tests.races import at_once, in_the_open

pytestmark = pytest.mark.django_db


def claim(tenant, network, actor=ANN):
    return create_network_credential(server=tenant.server, name="Office", network=network, actor=actor)


@pytest.mark.storage
@pytest.mark.parametrize("network", ["198.51.100.7", "198.51.100.0/24", "198.51.0.0/16"])
def test_a_network_of_others_is_refused_whatever_its_size(acme, globex, network):
    claim(acme, "198.51.100.0/24")
    with pytest.raises(Invalid, match="in use by another organization: ask the platform"):
        claim(globex, network)
    assert Credential.objects.filter(kind="smtp_ip").count() == 1
    # Its own may overlap: the narrower counts.
    claim(acme, network)
    claim(globex, "203.0.113.0/24")
    claim(globex, "2001:db8::/32")


def test_one_that_is_held_is_still_anothers_and_a_deleted_one_is_not(acme, globex):
    first = hold_credential(credential=claim(acme, "198.51.100.0/24"), at=NOW, actor=ANN)
    with pytest.raises(Invalid, match="another organization"):
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


@in_the_open
def test_of_two_at_once_one_has_it(acme, globex):
    outcomes = at_once(lambda: claim(acme, "198.51.100.0/24"), lambda: claim(globex, "198.51.100.7"))
    assert sorted(type(each) is Invalid for each in outcomes) == [False, True]
