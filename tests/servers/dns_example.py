"""A domain with an address in each family, what must be published for it, and one check of it."""

from dnschecks import dkim
from dnschecks.checked import DNSStatus
from dnschecks.findings import Finding
from dnschecks.resolver import Resolver
from servers.dns import examine
from servers.dns_records import Expected, Sending, records_of
from servers.zone_file import quoted, strings, zone_file
from tests.dns_server import LocalDNS, name_of, text_record

OK, MISSING, INVALID = DNSStatus.OK, DNSStatus.MISSING, DNSStatus.INVALID
KEY = dkim.make_key_pair().public
DKIM_NAME = "postal-abc._domainkey.example.com"
DKIM = f"v=DKIM1; t=s; h=sha256; p={KEY}"
EXPECTED = Expected(
    name="example.com",
    verification_text="postal-verify TOKEN",
    dkim_name="postal-abc._domainkey.example.com",
    dkim_public_key=KEY,
    mx_hosts=("mx1.postal", "mx2.postal"),
    return_path_name="rp.example.com",
    return_path_host="rp.postal",
    dmarc_name="_dmarc.example.com",
    dmarc_text="v=DMARC1; p=none",
    sendings=(
        Sending("192.0.2.1", "a.acme.postal"),
        Sending("192.0.2.9", "b.acme.postal"),
        Sending("2001:db8::9", "b.acme.postal"),
    ),
    spf_include="",
)
GOOD = zone_file("example.com", records_of(EXPECTED))


def find(check: str, expected: Expected = EXPECTED, **kwargs) -> Finding:
    return examine(expected, Resolver(**kwargs))[check]


def txt(name: str, text: str) -> str:
    return f"{name}. 60 IN TXT {' '.join(quoted(part) for part in strings(text))}"


def put(dns: LocalDNS, name: str, *texts: str) -> None:
    """Publish these TXT records at the name instead of what is there."""
    dns.remove(name, "TXT")
    dns.put(text_record(name_of(name), [part.encode() for part in strings(text)]) for text in texts)
