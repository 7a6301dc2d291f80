"""What somebody publishes to break our tables: it is stored as far as it can be, and harms nobody else's checks."""

from collections.abc import Sequence
from typing import Any

import pytest
from django.utils import timezone

from dnschecks.findings import Findings
from dnschecks.sweep import sweep
from servers.domain_checks import DomainChecks, check_due_domains
from servers.domains import create_domain
from servers.models import Domain, Server
from tests.dns_server import LocalDNS, name_of, text_record
from tests.servers.conftest import SYSTEM, zone_of

pytestmark = [pytest.mark.server, pytest.mark.storage]

EVIL = bytes([*range(32), 34, 92, 127, *range(128, 256)])


@pytest.mark.parametrize("first", [b"postal-verify ", b"v=spf1 ", b"v=spf1 include:", b"v=spf1 exists:%{d}"])
def test_any_bytes_in_texts_are_stored(dns: LocalDNS, domain: Domain, first: bytes) -> None:
    for name in ("example.com", "_dmarc.example.com", f"postal-{domain.dkim_identifier}._domainkey.example.com"):
        before = {"example.com": first, "_dmarc.example.com": b"v=DMARC1; p="}.get(name, b"v=DKIM1; p=")
        dns.put([text_record(name_of(name), [before + EVIL[:100], EVIL[100:]])])
    swept = check_due_domains(seconds=10)

    assert (swept.checked, swept.failed) == (1, 0)
    domain.refresh_from_db()
    assert (domain.dmarc_status, domain.dkim_status) == ("invalid", "invalid")
    assert domain.dns_next_check_at > timezone.now()
    shown = [domain.verification_error, domain.spf_error, domain.dkim_error, domain.dmarc_error]
    shown += [answer["answer"].replace("\n", "") for answer in domain.dns_answers.values()]
    # Nothing that a terminal or a page could take for more than a text.
    assert [text for text in shown if not text.isprintable()] == []
    assert "\\000\\001" in domain.dmarc_error


def test_a_row_that_cannot_be_written_does_not_stop_the_others(dns: LocalDNS, server: Server) -> None:
    class Unwritable(DomainChecks):
        def write(self, row: Domain, findings: Findings, at: Any) -> dict[str, Any]:
            if row.name == "d1.example":
                return {"verification_status": "no such status"}
            return super().write(row, findings, at)

    domains: Sequence[Domain] = [
        create_domain(at=timezone.now(), server=server, name=f"d{number}.example", actor=SYSTEM).domain
        for number in range(3)
    ]
    for domain in domains:
        dns.load(zone_of(domain))

    assert sweep(Unwritable(SYSTEM), parallel=2, seconds=10).checked == 3
    for domain in domains:
        domain.refresh_from_db()
    assert [domain.is_verified for domain in domains] == [True, False, True]
    assert (domains[1].dns_claim, domains[1].dns_checked_at) == (None, None)
    assert domains[1].dns_next_check_at > timezone.now()
