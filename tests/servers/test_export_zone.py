"""`manage.py export_zone`, and that what it prints is a zone."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from servers.dns_records import DNSRecord
from servers.domains import create_domain
from servers.models import Domain, Organization, Server
from servers.provisioning import create_server
from servers.zone_file import UNCHECKED, quoted, zone_file
from tests.dns_server import LocalDNS
from tests.servers.conftest import SYSTEM

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("export_zone", *arguments, stdout=out)
    return out.getvalue()


def test_it_works(domain: Domain) -> None:
    key = domain.dkim_public_key
    dkim = f"v=DKIM1; t=s; h=sha256; p={key}"
    assert run("EXAMPLE.com").splitlines() == [
        "; DNS records of example.com",
        *UNCHECKED,
        "$TTL 3600",
        "; verification",
        f'example.com. IN TXT "postal-verify {domain.verification_token}"',
        "; spf",
        'example.com. IN TXT "v=spf1 ip4:192.0.2.1 ip4:192.0.2.2 ip4:198.51.100.7 ~all"',
        "; dkim",
        f'postal-{domain.dkim_identifier}._domainkey.example.com. IN TXT "{dkim[:255]}" "{dkim[255:]}"',
        "; return_path",
        "rp.example.com. IN CNAME rp.postal.",
        "; mx",
        "example.com. IN MX 10 mx.postal.",
        "; dmarc",
        '_dmarc.example.com. IN TXT "v=DMARC1; p=none"',
    ]


def test_json_is_one_object(domain: Domain) -> None:
    told = json.loads(run("example.com", "--json"))
    assert told == {"domain": "example.com", "zone": run("example.com")}


@pytest.mark.parametrize("name", ["other.example", "no domain", ""])
def test_it_rejects_an_unknown_domain(domain: Domain, name: str) -> None:
    with pytest.raises(CommandError, match=f"The domain {name} could not be found".strip()):
        run(name)


def test_it_asks_whose_where_several_have_it(domain: Domain, acme: Organization, globex_server: Server) -> None:
    second = create_server(organization=acme, name="Second", actor=SYSTEM).server
    twin = create_domain(at=timezone.now(), server=second, name="example.com", actor=SYSTEM).domain
    with pytest.raises(CommandError, match=r"Several servers have example\.com: give --server ORGANIZATION/SERVER"):
        run("example.com")
    assert twin.dkim_identifier in run("example.com", "--server", "acme/second")
    with pytest.raises(CommandError):
        run("example.com", "--server", "globex/mail")


@pytest.mark.server
def test_odd_texts_are_escaped(dns: LocalDNS) -> None:
    record = DNSRecord("dmarc", "TXT", "a.example", "@", 'v=DMARC1; "quoted"; back\\slash')
    dns.load(zone_file("a.example", [record]))
    [published] = dns.zone.of("a.example") or []
    assert published.rdata.data == [record.value.encode()]
    assert quoted("é\n") == '"\\233\\010"'


@pytest.mark.parametrize(
    ("found", "status", "text"),
    [
        ("v=spf1 include:_spf.google.com -all", "invalid", "v=spf1 {} include:_spf.google.com -all"),
        ("v=spf1 ip4:192.0.2.0/24 ip4:198.51.100.7 mx -all", "ok", "v=spf1 ip4:192.0.2.0/24 ip4:198.51.100.7 mx -all"),
        (
            "v=spf1 include:gone.example redirect=x.example",
            "invalid",
            "v=spf1 {} include:gone.example redirect=x.example",
        ),
        ("v=spf1 ipv4:192.0.2.1 -all", "invalid", "v=spf1 ipv4:192.0.2.1 -all"),
        ("google-site-verification=x", "missing", "v=spf1 {} ~all"),
    ],
)
def test_a_zone_takes_no_sender_out_of_the_spf_record_that_is_there(
    domain: Domain, found: str, status: str, text: str
) -> None:
    answer = f'example.com. 60 IN TXT "{found}"'
    Domain.objects.filter(pk=domain.pk).update(dns_answers={"spf": {"answer": answer}}, spf_status=status)
    ours = "ip4:192.0.2.1 ip4:192.0.2.2 ip4:198.51.100.7"
    assert f'IN TXT "{text.format(ours)}"' in run("example.com")
