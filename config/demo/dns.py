"""What DNS would have answered for the demo's domains: `.example` exists nowhere, so nothing is asked."""

import base64
import datetime
import hashlib

from servers.dns_records import DMARC_PROPOSAL, IN_FORCE, PUBLISHED, DNSRecord, expected_of_many, records_of
from servers.models import Domain

TTL = 3600
# Of one string of a TXT record (RFC 1035, 3.3.14).
LONGEST = 255


def make(domains: list[Domain], *, now: datetime.datetime) -> None:
    """Store answers for those of the domains that have none: what a check found wrong is another key, or is not there."""
    fresh = [each for each in domains if not each.dns_answers]
    for domain, expected in zip(fresh, _expected(fresh), strict=True):
        answers: dict[str, dict[str, str]] = {}
        for record in expected:
            found = answers.setdefault(record.purpose, {"answer": "", "at": now.isoformat()})
            status = getattr(domain, f"{record.purpose}_status")
            if status == "missing":
                continue
            value = record.value if status == "ok" else _other_key(record.value)
            found["answer"] = "\n".join(filter(None, (found["answer"], _line(record, value))))
        if "dmarc" in answers:
            answers["dmarc"] |= {IN_FORCE: "none", PUBLISHED: DMARC_PROPOSAL}
        Domain.objects.filter(pk=domain.pk).update(dns_answers=answers)


def _expected(domains: list[Domain]) -> list[list[DNSRecord]]:
    found = expected_of_many([each.pk for each in domains])
    return [records_of(found[each.pk]) for each in domains]


def _line(record: DNSRecord, value: str) -> str:
    if record.type == "TXT":
        data = " ".join(f'"{value[at : at + LONGEST]}"' for at in range(0, len(value), LONGEST))
    elif record.priority is not None:
        data = f"{record.priority} {value}."
    else:
        data = f"{value}."
    return f"{record.name}. {TTL} IN {record.type} {data}"


def _other_key(text: str) -> str:
    """Return a DKIM record with a key that is not the domain's."""
    head, _, key = text.rpartition("p=")
    other = base64.b64encode(hashlib.sha256(key.encode()).digest()).decode().rstrip("=")
    return f"{head}p={other}{key[len(other) :]}"
