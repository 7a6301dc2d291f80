"""PTR, forward confirmation and HELO name of addresses, against a real DNS server."""

import pytest
from django.utils import timezone

from core.audit import Actor
from dnschecks.resolver import Resolver
from ippools import ip_addresses
from ippools.addresses import NewAddress, create_many
from ippools.identity import Identity, check_address, check_due_addresses, examine
from ippools.models import AddressIdentity, IPAddress
from tests.dns_server import SERVFAIL, LocalDNS

pytestmark = [pytest.mark.server, pytest.mark.storage]

FOUR = Identity(("192.0.2.1",), "mta1.example.com")
BOTH = Identity(("192.0.2.1", "2001:db8::1"), "mta1.example.com")
REVERSE4 = "1.2.0.192.in-addr.arpa"
REVERSE6 = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"
GOOD = f"""
{REVERSE4}. 60 IN PTR MTA1.Example.COM.
mta1.example.com. 60 IN A 192.0.2.1
{REVERSE6}. 60 IN PTR mta1.example.com.
mta1.example.com. 60 IN AAAA 2001:db8::1
"""


@pytest.fixture
def address(db) -> IPAddress:
    row = NewAddress(ipv4="192.0.2.1", ipv6="2001:db8::1", hostname="MTA1.example.com")
    return create_many([row], actor=Actor.system())[0]


def found(identity: Identity) -> dict[str, tuple[str | None, str]]:
    return {check: (each.status, each.error) for check, each in examine(identity, Resolver()).items()}


ALL_OK = dict.fromkeys(("ptr", "fcrdns", "helo"), ("ok", ""))


@pytest.mark.parametrize("identity", [FOUR, BOTH])
def test_it_works(dns: LocalDNS, identity: Identity) -> None:
    dns.load(GOOD)
    assert found(identity) == ALL_OK


def test_nothing_published(dns: LocalDNS) -> None:
    assert found(FOUR) == {
        "ptr": (
            "missing",
            f"192.0.2.1 has no name. Have its network's owner publish {REVERSE4}. PTR mta1.example.com.",
        ),
        "fcrdns": ("missing", "192.0.2.1 has no name that could be confirmed."),
        "helo": ("missing", "mta1.example.com has no A record. Publish mta1.example.com. A 192.0.2.1"),
    }


@pytest.mark.parametrize(
    ("remove", "check", "error"),
    [
        (
            (REVERSE6, "PTR"),
            "ptr",
            f"2001:db8::1 has no name. Have its network's owner publish {REVERSE6}. PTR mta1.example.com.",
        ),
        (
            ("mta1.example.com", "AAAA"),
            "helo",
            "mta1.example.com has no AAAA record. Publish mta1.example.com. AAAA 2001:db8::1",
        ),
    ],
)
def test_each_address_counts(dns: LocalDNS, remove: tuple[str, str], check: str, error: str) -> None:
    dns.load(GOOD)
    dns.remove(*remove)
    assert found(BOTH)[check] == ("missing", error)
    assert found(FOUR) == ALL_OK


def test_another_name_that_is_confirmed(dns: LocalDNS) -> None:
    dns.load(
        f"{REVERSE4}. 60 IN PTR host1.isp.example.\nhost1.isp.example. 60 IN A 192.0.2.1\nmta1.example.com. 60 IN A 192.0.2.1"
    )
    assert found(FOUR) == ALL_OK | {
        "ptr": (
            "invalid",
            (
                "192.0.2.1 is named host1.isp.example and says HELO with mta1.example.com. "
                f"Have its network's owner publish {REVERSE4}. PTR mta1.example.com."
            ),
        )
    }


DELEGATED = "1.0/25.2.0.192.in-addr.arpa"
BELONGS_THERE = (
    f"{REVERSE4} is a CNAME to {DELEGATED}, so the PTR record belongs there: have the owner of that zone publish "
    f"{DELEGATED}. PTR mta1.example.com."
)


@pytest.mark.parametrize("recursion_available", [False, True])
@pytest.mark.parametrize(
    ("there", "ptr"),
    [
        (f"{DELEGATED}. 60 IN PTR mta1.example.com.", ("ok", "")),
        ("", ("missing", f"192.0.2.1 has no name. {BELONGS_THERE}")),
        (f"{DELEGATED}. 60 IN TXT x", ("missing", f"192.0.2.1 has no name. {BELONGS_THERE}")),
        (
            f"{DELEGATED}. 60 IN PTR old.example.com.",
            ("invalid", f"192.0.2.1 is named old.example.com and says HELO with mta1.example.com. {BELONGS_THERE}"),
        ),
        # By two steps.
        (
            f"{DELEGATED}. 60 IN CNAME 1.customer.example.",
            ("missing", f"192.0.2.1 has no name. {BELONGS_THERE.replace(DELEGATED, '1.customer.example')}"),
        ),
    ],
)
def test_a_name_of_a_delegated_network_is_published_where_its_cname_leads(
    settings, recursion_available: bool, there: str, ptr: tuple[str, str]
) -> None:
    zone = f"{REVERSE4}. 60 IN CNAME {DELEGATED}.\nmta1.example.com. 60 IN A 192.0.2.1\n{there}"
    with LocalDNS(zone, recursion_available=recursion_available) as server:
        settings.SLUICE_DNS_SERVERS = [server.address]
        assert found(FOUR)["ptr"] == ptr


@pytest.mark.parametrize("web", ["", "\nweb.example.com. 60 IN A 192.0.2.80"])
def test_no_record_is_advised_beside_a_cname(dns: LocalDNS, web: str) -> None:
    dns.load(f"{REVERSE4}. 60 IN PTR mta1.example.com.\nmta1.example.com. 60 IN CNAME web.example.com.{web}")
    instead = (
        "mta1.example.com is a CNAME to web.example.com, beside which no other record can be: replace it with "
        "mta1.example.com. A 192.0.2.1"
    )
    assert found(FOUR) == {
        "ptr": ("ok", ""),
        "fcrdns": ("invalid", f"192.0.2.1 is named mta1.example.com, which does not lead back to it. {instead}"),
        "helo": (
            ("invalid", f"mta1.example.com leads to 192.0.2.80, not to 192.0.2.1. {instead}")
            if web
            else ("missing", f"mta1.example.com has no A record. {instead}")
        ),
    }


def test_the_cname_of_a_wildcard_gives_way_to_a_host(dns: LocalDNS) -> None:
    dns.load("*.example.com. 60 IN CNAME web.example.com.\nweb.example.com. 60 IN A 192.0.2.80")
    assert found(FOUR)["helo"] == (
        "invalid",
        "mta1.example.com leads to 192.0.2.80, not to 192.0.2.1. Publish mta1.example.com. A 192.0.2.1",
    )


def test_names_that_lead_elsewhere(dns: LocalDNS) -> None:
    dns.load(f"{REVERSE4}. 60 IN PTR mta1.example.com.\nmta1.example.com. 60 IN A 192.0.2.77")
    assert found(FOUR) == {
        "ptr": ("ok", ""),
        "fcrdns": (
            "invalid",
            "192.0.2.1 is named mta1.example.com, which does not lead back to it. Publish mta1.example.com. A 192.0.2.1",
        ),
        "helo": (
            "invalid",
            "mta1.example.com leads to 192.0.2.77, not to 192.0.2.1. Publish mta1.example.com. A 192.0.2.1",
        ),
    }


def test_one_of_several_names_is_enough(dns: LocalDNS) -> None:
    dns.load(f"{REVERSE4}. 60 IN PTR other.example.com.\n{REVERSE4}. 60 IN PTR mta1.example.com.\n" + GOOD)
    assert found(FOUR) == ALL_OK


@pytest.mark.parametrize(
    ("fault", "failing"),
    [((REVERSE4, "PTR"), {"ptr", "fcrdns"}), (("mta1.example.com", "A"), {"fcrdns", "helo"})],
)
def test_a_failing_resolver_blames_nobody(dns: LocalDNS, fault: tuple[str, str], failing: set[str]) -> None:
    dns.load(GOOD)
    dns.fault(fault[0], SERVFAIL, fault[1])
    findings = examine(BOTH, Resolver())
    assert {check for check, each in findings.items() if each.status is None} == failing
    assert {check for check, each in findings.items() if each.status == "ok"} == {"ptr", "fcrdns", "helo"} - failing


def test_it_is_stored_beside_the_address(dns: LocalDNS, address: IPAddress) -> None:
    dns.load(GOOD)
    identity = check_address(address, asked_by="operator")

    assert (identity.ptr_status, identity.fcrdns_status, identity.helo_status) == ("ok", "ok", "ok")
    assert (identity.ptr_error, identity.fcrdns_error, identity.helo_error) == ("", "", "")
    assert identity.names == ["mta1.example.com"]
    assert identity.dns_answers["ptr"]["answer"] == (
        f"{REVERSE4}. 60 IN PTR MTA1.Example.COM.\n{REVERSE6}. 60 IN PTR mta1.example.com."
    )
    assert identity.dns_next_check_at > identity.dns_checked_at
    address.refresh_from_db()
    assert address.identity == identity


def test_a_failing_resolver_keeps_names_and_statuses(dns: LocalDNS, address: IPAddress) -> None:
    dns.load(GOOD)
    check_address(address, asked_by="operator")
    dns.fault(REVERSE4, SERVFAIL)
    identity = check_address(address, asked_by="operator")

    assert (identity.ptr_status, identity.fcrdns_status, identity.names) == ("ok", "ok", ["mta1.example.com"])
    assert identity.ptr_error.startswith(f"DNS could not be queried ({REVERSE4} PTR: server failure")
    assert identity.helo_error == ""


def test_the_sweep_finds_new_addresses_and_then_rests(dns: LocalDNS, address: IPAddress) -> None:
    dns.load(GOOD)
    assert check_due_addresses(at=timezone.now(), seconds=5).checked == 1
    assert AddressIdentity.objects.get().helo_status == "ok"
    assert check_due_addresses(at=timezone.now(), seconds=5).checked == 0

    dns.remove("mta1.example.com", "A")
    ip_addresses.change(address.pk, hostname="mta1.example.com", actor=Actor.system())
    assert check_due_addresses(at=timezone.now(), seconds=5).checked == 1
    assert AddressIdentity.objects.get().helo_status == "missing"


def test_saving_the_address_whole_brings_no_old_findings_back(dns: LocalDNS, address: IPAddress) -> None:
    dns.load(GOOD)
    stale = IPAddress.objects.select_related("identity").get(pk=address.pk)
    check_address(address, asked_by="operator")
    stale.priority = 5
    stale.save()
    assert AddressIdentity.objects.get().ptr_status == "ok"
