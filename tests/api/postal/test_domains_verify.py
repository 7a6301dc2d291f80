"""POST /api/v1/domains/verify and GET|POST /api/v1/domains/dns_records, against a real DNS server."""

import pytest
import time_machine

from dnschecks.slots import slot
from servers.dns_records import expected_of, records_of
from servers.models import Domain
from servers.zone_file import zone_file
from tests.api.postal.conftest import NOW, make_pool, parameter_error
from tests.dns_server import SERVFAIL

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.server]
PATH = "domains/verify"
OK = {"status": "OK", "error": None}
ALL_OK = dict.fromkeys(("spf", "dkim", "return_path", "mx", "dmarc"), OK)


@pytest.fixture(autouse=True)
def _ticking(_frozen):
    # Time-outs of real sockets need a clock that goes.
    with time_machine.travel(NOW, tick=True):
        yield


@pytest.fixture
def domain(call, acme):
    acme.server.ip_pool = make_pool(acme.organization, "Main", "192.0.2.10")
    acme.server.save()
    call("domains/create", {"name": "example.com"}, key=acme.key)
    return Domain.objects.get()


def publish(dns, domain):
    dns.load(zone_file(domain.name, records_of(expected_of(domain))))


def test_it_works(call, acme, domain, dns):
    publish(dns, domain)
    answer = call(PATH, {"name": "EXAMPLE.com"}, key=acme.key)
    verified_at = answer["data"]["domain"].pop("verified_at")
    assert answer == {
        "status": "success",
        "flags": {},
        "data": {
            "domain": {"uuid": str(domain.uuid), "name": "example.com", "verified": True, "dns_checks": ALL_OK},
        },
    }
    assert verified_at.startswith("2026-11-18T10:30:")
    # The promise of servers/show.
    (row,) = call("servers/show", {"include_domains": True}, key=acme.key)["data"]["server"]["domains"]
    assert row["verified"] is True
    assert [row[f"{check}_status"] for check in ("spf", "dkim", "mx", "return_path")] == ["OK"] * 4


def test_what_is_not_in_dns(call, acme, domain, dns):
    answer = call(PATH, {"name": "example.com"}, key=acme.key)
    checks = answer["data"].pop("dns_checks")
    assert answer == {
        "status": "error",
        "flags": {},
        "data": {
            "code": "VerificationFailed",
            "message": "We couldn't verify your domain. Please double check you've added the TXT record correctly.",
            "dns_verification_string": f"postal-verify {domain.verification_token}",
        },
    }
    assert list(checks) == ["spf", "dkim", "return_path", "mx", "dmarc"]
    assert {check["status"] for check in checks.values()} == {"Missing"}
    assert all(check["error"] for check in checks.values())


def test_a_broken_record_is_named(call, acme, domain, dns):
    publish(dns, domain)
    dns.remove("rp.example.com", "CNAME")
    checks = call(PATH, {"name": "example.com"}, key=acme.key)["data"]["domain"]["dns_checks"]
    assert {name: check["status"] for name, check in checks.items()} == {
        "spf": "OK", "dkim": "OK", "return_path": "Missing", "mx": "OK", "dmarc": "OK",
    }  # fmt: skip
    assert "rp.example.com" in checks["return_path"]["error"]


def test_a_failing_resolver_takes_nothing_away(call, acme, domain, dns):
    publish(dns, domain)
    call(PATH, {"name": "example.com"}, key=acme.key)
    for name in (
        "example.com",
        "rp.example.com",
        "_dmarc.example.com",
        f"postal-{domain.dkim_identifier}._domainkey.example.com",
    ):
        dns.fault(name, SERVFAIL)
    answer = call(PATH, {"name": "example.com"}, key=acme.key)
    assert answer["status"] == "success"
    checks = answer["data"]["domain"]["dns_checks"]
    assert {check["status"] for check in checks.values()} == {"OK"}
    assert all(check["error"] for check in checks.values())


def test_a_warning_stands_beside_a_status_that_is_right(call, acme, domain, dns):
    publish(dns, domain)
    dns.remove("example.com", "TXT")
    dns.load(
        f'example.com. 60 IN TXT "postal-verify {domain.verification_token}"\nexample.com. 60 IN TXT "v=spf1 +all"'
    )
    verified = call(PATH, {"name": "example.com"}, key=acme.key)["data"]["domain"]["dns_checks"]
    shown = call("domains/dns_records", {"domain_name": "example.com"}, key=acme.key)["data"]["domain"]["dns_checks"]
    warning = "“+all” passes every address, so anyone can send as example.com. End the record with “~all” or “-all”."
    assert verified == shown == ALL_OK | {"spf": {"status": "OK", "error": None, "warning": warning}}


def test_too_many_at_once_are_told_when_to_come_again(call, acme, domain, dns, settings):
    settings.SLUICE_DNS_WAITERS = 1
    with slot("somebody else"):
        answer = call(PATH, {"name": "example.com"}, key=acme.key, status=429)
    assert answer["status"] == "error"
    assert answer["data"] == {
        "code": "TooManyRequests",
        "message": "Too many DNS checks are running. This one runs automatically within two minutes; try again then",
    }
    assert dns.questions() == {}


def test_it_rejects_unknown_and_foreign_names(call, acme, globex, dns):
    call("domains/create", {"name": "globex.example"}, key=globex.key)
    for name in ("globex.example", "unknown.example", "no domain"):
        data = {
            "code": "InvalidDomain",
            "message": "The domain could not be found with the provided name",
            "name": name,
        }
        assert call(PATH, {"name": name}, key=acme.key)["data"] == data
    assert dns.questions() == {}


# --- domains/dns_records ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_records_of_a_domain(call, acme, domain, dns, method):
    created = call("domains/create", {"name": "example.com"}, key=acme.key)["data"]
    unchecked = {check: {"status": None, "error": None} for check in ALL_OK}
    expected = {
        "domain": {"uuid": str(domain.uuid), "name": "example.com", "verified": False, "dns_checks": unchecked},
        "dns_records": created["dns_records"],
    }
    for query in ("domain_name=Example.com", f"domain_id={domain.uuid}", f"domain_id={domain.uuid}&domain_name=x"):
        assert call(f"domains/dns_records?{query}", key=acme.key, method=method)["data"] == expected
    publish(dns, domain)
    call(PATH, {"name": "example.com"}, key=acme.key)
    data = call("domains/dns_records", {"domain_name": "example.com"}, key=acme.key)["data"]
    assert (data["domain"]["verified"], data["domain"]["dns_checks"]) == (True, ALL_OK)


def test_the_spf_record_to_publish_keeps_the_senders_that_are_in_dns(call, acme, domain, dns):
    publish(dns, domain)
    for found, wanted in (
        ("v=spf1 include:other.example -all", "v=spf1 ip4:192.0.2.10 include:other.example -all"),
        ("v=spf1 ip4:192.0.2.0/24 mx -all", "v=spf1 ip4:192.0.2.0/24 mx -all"),
    ):
        dns.remove("example.com", "TXT")
        dns.load(
            f'example.com. 60 IN TXT "postal-verify {domain.verification_token}"\nexample.com. 60 IN TXT "{found}"'
        )
        call(PATH, {"name": "example.com"}, key=acme.key)
        records = call("domains/dns_records", {"domain_name": "example.com"}, key=acme.key)["data"]["dns_records"]
        assert [each["value"] for each in records if each["value"].startswith("v=spf1")] == [wanted]


def test_the_records_of_unknown_and_foreign_domains(call, acme, globex):
    call("domains/create", {"name": "globex.example"}, key=globex.key)
    theirs = Domain.objects.get()
    for uuid in (str(theirs.uuid), "00000000-1111-2222-3333-444444444444", "5"):
        data = call("domains/dns_records", {"domain_id": uuid}, key=acme.key)["data"]
        message = "The domain could not be found with the provided domain_id"
        assert data == {"code": "InvalidDomain", "message": message}
    data = call("domains/dns_records", {"domain_name": "globex.example"}, key=acme.key)["data"]
    message = "The domain could not be found with the provided name"
    assert data == {"code": "InvalidDomain", "message": message, "name": "globex.example"}
    assert call("domains/dns_records", key=acme.key) == parameter_error("domain_id or domain_name is required")
    assert call("domains/dns_records", {"domain_id": 5}, key=acme.key) == parameter_error("domain_id is invalid")
