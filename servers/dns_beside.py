"""Says which records must be removed before another can be published: nothing can be beside a CNAME (RFC 1034, 3.6.2)."""

from dataclasses import replace

from dnschecks.checked import DNSStatus
from dnschecks.findings import Finding
from dnschecks.resolver import Resolver
from dnschecks.wildcards import is_of_wildcard
from servers.dns_records import Expected

# What is published beside each other at a name that receives mail, and is forgotten when it becomes a return path.
_BARRING = ("MX", "TXT")


def beside_cname(finding: Finding, check: str, expected: Expected, resolver: Resolver) -> Finding:
    """Return the finding, and in its sentence what to do about a CNAME at the name of a record that is wrong or missing."""
    if finding.status not in (DNSStatus.MISSING, DNSStatus.INVALID) or check == "return_path":
        return finding
    name = {"dkim": expected.dkim_name, "dmarc": expected.dmarc_name}.get(check, expected.name)
    answer = resolver.ask(name, "MX" if check == "mx" else "TXT")
    if not answer.alias or is_of_wildcard(answer, resolver):
        return finding
    what = (
        f"Because of the CNAME {name} → {answer.alias}, only the records of {answer.alias} count: correct them there, or "
        "remove the CNAME, because no other record can be beside it."
    )
    return replace(finding, error=f"{finding.error} {what}")


def barred(name: str, resolver: Resolver) -> str:
    """Return a sentence, with a blank after it, about the records that do not let a CNAME be published; "" for none."""
    found = [
        rdtype
        for rdtype in _BARRING
        if (answer := resolver.ask(name, rdtype)).records and not is_of_wildcard(answer, resolver)
    ]
    return f"Remove its {' and '.join(found)} records, because nothing can be beside a CNAME. " if found else ""
