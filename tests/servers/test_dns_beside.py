"""CNAMEs where other records are wanted, and other records where a CNAME is: a person can only act on what says so."""

from collections.abc import Iterator

import pytest

from dnschecks.checked import DNSStatus
from tests.dns_server import LocalDNS
from tests.servers.dns_example import DKIM, DKIM_NAME, INVALID, MISSING, OK, find, put, txt

pytestmark = pytest.mark.server

NAMES = {"verification": "example.com", "spf": "example.com", "mx": "example.com", "dkim": DKIM_NAME,
         "dmarc": "_dmarc.example.com"}  # fmt: skip


@pytest.fixture(params=[False, True], ids=["authoritative", "recursive"])
def dns(request: pytest.FixtureRequest, settings) -> Iterator[LocalDNS]:
    with LocalDNS(recursion_available=request.param) as server:
        settings.SLUICE_DNS_SERVERS = [server.address]
        yield server


def beside(name: str, target: str = "host.provider.net") -> str:
    return (
        f"Because of the CNAME {name} → {target}, only the records of {target} count: correct them there, or remove the CNAME, "
        "because no other record can be beside it."
    )


@pytest.mark.parametrize("check", NAMES)
@pytest.mark.parametrize("there", ["", "host.provider.net. 60 IN A 192.0.2.1"], ids=["to nothing", "to a host"])
def test_a_cname_is_told_where_another_record_is_missing(dns: LocalDNS, check: str, there: str) -> None:
    name = NAMES[check]
    dns.load(f"{name}. 60 IN CNAME host.provider.net.\n{there}")
    finding = find(check)
    assert finding.status == MISSING
    assert finding.error.endswith(f" {beside(name)}")
    # It exists: its owner sees it.
    assert f"{name} does not exist" not in finding.error
    if not there and check != "spf":
        assert finding.error.startswith(
            f"{name} is a CNAME to host.provider.net, and that leads to no name that exists. Publish "
        )


@pytest.mark.parametrize(
    ("check", "text"),
    [("spf", "v=spf1 ip4:198.51.100.0/24 -all"), ("dkim", "v=DKIM1; p="), ("dmarc", "v=DMARC1; p=no")],
)
def test_a_cname_is_told_where_the_record_is_another_ones(dns: LocalDNS, check: str, text: str) -> None:
    dns.load(f"{NAMES[check]}. 60 IN CNAME host.provider.net.\n{txt('host.provider.net', text)}")
    finding = find(check)
    assert finding.status == INVALID
    assert finding.error.endswith(f" {beside(NAMES[check])}")


def test_a_cname_to_the_right_record_is_right(dns: LocalDNS) -> None:
    dns.load(f"{DKIM_NAME}. 60 IN CNAME host.provider.net.\n{txt('host.provider.net', DKIM)}")
    assert (find("dkim").status, find("dkim").error) == (OK, "")


@pytest.mark.parametrize("check", ["dkim", "dmarc"])
def test_the_cname_of_a_wildcard_is_in_nobodys_way(dns: LocalDNS, check: str) -> None:
    dns.load("*.example.com. 60 IN CNAME host.provider.net.\nhost.provider.net. 60 IN A 192.0.2.1")
    assert find(check).status == MISSING
    assert "CNAME" not in find(check).error


PUBLISH = "Publish the CNAME rp.example.com → rp.postal."


@pytest.mark.parametrize(
    ("zone", "status", "error"),
    [
        (
            'rp.example.com. 60 IN MX 10 feedback.provider.net.\nrp.example.com. 60 IN TXT "v=spf1 -all"',
            MISSING,
            "There is no CNAME at rp.example.com. Remove its MX and TXT records, because nothing can be beside a CNAME. ",
        ),
        ('*.example.com. 60 IN TXT "v=spf1 -all"', MISSING, "There is no CNAME at rp.example.com. "),
        ("*.example.com. 60 IN A 192.0.2.1", MISSING, "There is no CNAME at rp.example.com. "),
        ("*.example.com. 60 IN CNAME host.provider.net.", INVALID, "rp.example.com leads to host.provider.net. "),
    ],
)
def test_what_is_where_the_return_path_should_be(dns: LocalDNS, zone: str, status: DNSStatus, error: str) -> None:
    dns.load(zone)
    assert (find("return_path").status, find("return_path").error) == (status, error + PUBLISH)


@pytest.mark.parametrize(
    ("term", "cost"), [("include:example.com", 1), ("include:a.example.net", 3), ("redirect=a.example.net", 3)]
)
def test_an_spf_record_that_includes_itself_is_told(dns: LocalDNS, term: str, cost: int) -> None:
    """To replace the largest term with its networks would be no help."""
    put(dns, "example.com", f"v=spf1 {term}")
    put(dns, "a.example.net", "v=spf1 redirect=b.example.net")
    put(dns, "b.example.net", "v=spf1 include:a.example.net ~all")
    assert find("spf").error == (
        f"The SPF record cannot be evaluated: it needs more than 10 DNS look-ups (“{term}” {cost}). "
        f"Remove “{term}”: it leads to a record that includes itself."
    )


def test_a_redirect_that_is_never_read_is_not_blamed(dns: LocalDNS) -> None:
    many = " ".join(f"include:{n}.example.net" for n in range(11))
    put(dns, "example.com", f"v=spf1 {many} -all redirect=example.com")
    for n in range(11):
        put(dns, f"{n}.example.net", "v=spf1 -all")
    assert find("spf").error.endswith(
        "Remove unused terms, or replace the largest term with its networks (ip4:, ip6:)."
    )
