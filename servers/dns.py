"""The six DNS checks of a domain, each with a sentence that says what to change.

The checks know DNS and what is expected, not the database. Texts from DNS are quoted in the sentences, cut short.
"""

from collections.abc import Callable, Sequence

from dnschecks import dkim
from dnschecks.findings import Finding, Findings, failed, invalid, missing, ok
from dnschecks.near_misses import special_fault, token_fault, unwrapped
from dnschecks.quoting import cut
from dnschecks.resolver import Answer, Resolver
from dnschecks.wildcards import is_of_wildcard
from servers.dns_beside import barred, beside_cname
from servers.dns_dmarc import check_dmarc
from servers.dns_doubled import doubled, with_text
from servers.dns_phrases import listed, shown, why_none
from servers.dns_records import VERIFICATION_PREFIX, Expected, dkim_text
from servers.dns_spf import check_spf

CHECKS = ("verification", "spf", "dkim", "return_path", "mx", "dmarc")
CNAME_STEPS = 5
# Of a DKIM record that is quoted as the one to keep: one with a key of 4096 bits has 700 characters.
_LONGEST_KEY = 1_000
# RFC 6376, 3.6.1
TESTING = (
    "The record says that DKIM is being tested (“t=y”), so receivers may treat signed mail as unsigned: remove “y”."
)


def examine(expected: Expected, resolver: Resolver) -> Findings:
    """Return a finding for each of CHECKS."""
    findings = {check: EXAMINERS[check](expected, resolver) for check in CHECKS}
    return {check: beside_cname(finding, check, expected, resolver) for check, finding in findings.items()}


def check_verification(expected: Expected, resolver: Resolver) -> Finding:
    """The exact text is among the TXT records at the name."""
    answer = resolver.ask(expected.name, "TXT")
    if answer.is_failure:
        return failed(answer)
    if expected.verification_text in answer.texts:
        return ok(answer)
    publish = f"Publish the TXT record “{expected.verification_text}” at {expected.name}."
    for text in answer.texts:
        if fault := token_fault(text, expected.verification_text):
            return invalid(f"The TXT record “{shown(text)}” is almost right: {fault}. {publish}", answer)
    others = [text for text in answer.texts if VERIFICATION_PREFIX in text]
    if others:
        return invalid(f"The TXT record “{shown(others[0])}” is not this domain's. {publish}", answer)
    # Nearly every domain has others: SPF's, those of other services.
    what = "verification record" if answer.records else "TXT record"
    elsewhere = doubled(
        expected.name, expected.name, resolver, with_text(lambda text: expected.verification_text in unwrapped(text)[0])
    )
    return missing(f"{why_none(answer, what)} {elsewhere}{publish}", answer)


def check_dkim(expected: Expected, resolver: Resolver) -> Finding:
    """One TXT record at the selector, with our public key."""
    answer = resolver.ask(expected.dkim_name, "TXT")
    if answer.is_failure:
        return failed(answer)
    publish = f"Publish the TXT record “{dkim_text(expected)}” at {expected.dkim_name}."
    if not answer.records:
        elsewhere = doubled(expected.dkim_name, expected.name, resolver, with_text(dkim.looks_meant))
        return missing(f"{why_none(answer, 'DKIM record')} {elsewhere}{publish}", answer)
    meant = [text for text in answer.texts if dkim.looks_meant(unwrapped(text)[0])]
    if not meant and (len(answer.records) > 1 or is_of_wildcard(answer, resolver)):
        return missing(f"{_of_a_wildcard(expected, answer)} {publish}", answer)
    if len(answer.records) > 1:
        return invalid(_several(expected, answer, meant), answer)
    inner, fault = unwrapped(answer.texts[0])
    # Blanks around it do no harm.
    if fault and "blank" not in fault and dkim.looks_meant(inner):
        return invalid(f"Verifiers cannot use the DKIM record: {fault}. {publish}", answer)
    try:
        public = dkim.public_key_of(answer.texts[0])
    except dkim.BadRecord as error:
        return invalid(f"The DKIM record is wrong: {special_fault(answer.texts[0]) or error}. {publish}", answer)
    if public == expected.dkim_public_key:
        return ok(answer, warning=TESTING if dkim.is_testing(answer.texts[0]) else "")
    return invalid(f"{_key_fault(public, answer.texts[0])}. {publish}", answer)


def _of_a_wildcard(expected: Expected, answer: Answer) -> str:
    if len(answer.records) == 1:
        return f"The TXT record at {expected.dkim_name} is not a DKIM record, it is that of a wildcard."
    others = f"The {len(answer.records)} TXT records at {expected.dkim_name} are not DKIM records"
    return f"{others}, perhaps they are those of a wildcard."


def _several(expected: Expected, answer: Answer, meant: Sequence[str]) -> str:
    """Return what to do about several records: verifiers may use any one of them (RFC 6376, 3.6.2.2)."""
    several = f"There are {len(answer.records)} TXT records at {expected.dkim_name}, and verifiers may use any of them"
    ours = next((text for text in meant if _has_our_key(expected, text)), "")
    if ours:
        return f"{several}: leave only “{cut(ours, _LONGEST_KEY)}”."
    return f"{several}, but none has this platform's key: remove them. Publish the TXT record “{dkim_text(expected)}” there."


def _has_our_key(expected: Expected, text: str) -> bool:
    try:
        return dkim.public_key_of(text) == expected.dkim_public_key
    except dkim.BadRecord:
        return False


def _key_fault(public: str, text: str) -> str:
    if special := special_fault(text):
        return f"The DKIM record is wrong: {special}"
    if '"' in public:
        # It was pasted as the strings of a zone file.
        return "The DKIM record's key has quotation marks in it: remove them"
    if not dkim.is_usable_key(public):
        return "The DKIM record's key is damaged, perhaps cut when it was pasted"
    return "The DKIM record has another key"


def check_return_path(expected: Expected, resolver: Resolver) -> Finding:
    """The CNAME at rp.NAME leads to the platform's return path host, at once or by further CNAMEs."""
    publish = f"Publish the CNAME {expected.return_path_name} → {expected.return_path_host}."
    name, seen, visited = expected.return_path_name, [], set()
    for _ in range(CNAME_STEPS):
        visited.add(name)
        answer = resolver.ask(name, "CNAME")
        seen.append(answer)
        if answer.is_failure:
            return failed(*seen)
        if not answer.records:
            break
        name = answer.targets[0]
        if name == expected.return_path_host:
            return ok(*seen)
        if name in visited:
            return invalid(f"The CNAMEs of {expected.return_path_name} form a loop. {publish}", *seen)
    if len(seen) == 1:
        addresses = [address for rdtype in ("A", "AAAA") for address in resolver.ask(name, rdtype).addresses]
        if addresses and not is_of_wildcard(resolver.ask(name, "A"), resolver):
            return invalid(
                f"{expected.return_path_name} answers with an address ({listed(addresses)}) instead of a CNAME: it has "
                "address records, or the DNS provider proxies it. Remove the records, or disable the proxy "
                f"(“DNS only”). {publish}",
                *seen,
            )
        found = barred(name, resolver) or doubled(
            expected.return_path_name, expected.name, resolver, lambda _: True, rdtype="CNAME"
        )
        return missing(f"{why_none(seen[0], 'CNAME')} {found}{publish}", *seen)
    return invalid(f"{expected.return_path_name} leads to {name}. {publish}", *seen)


def check_mx(expected: Expected, resolver: Resolver) -> Finding:
    """Every expected host is among the MX records; others may be there too."""
    answer = resolver.ask(expected.name, "MX")
    if answer.is_failure:
        return failed(answer)
    hosts = [host for _, host in answer.exchanges]
    absent = [host for host in expected.mx_hosts if host not in hosts]
    if not absent:
        return ok(answer)
    publish = f"Publish MX records at {expected.name} for {listed(absent)}."
    elsewhere = doubled(
        expected.name, expected.name, resolver, lambda found: _names_any(found, expected.mx_hosts), rdtype="MX"
    )
    if not hosts:
        return missing(f"{why_none(answer, 'MX record')} {elsewhere}{publish}", answer)
    if hosts == [""]:
        return invalid(f"The MX record says that {expected.name} accepts no mail. {publish}", answer)
    if len(absent) == len(expected.mx_hosts):
        none = f"The MX records name {listed(hosts)} and none of this platform's hosts."
        return missing(f"{none} {elsewhere}{publish}", answer)
    return invalid(f"Not every expected host is among the MX records. {elsewhere}{publish}", answer)


def _names_any(answer: Answer, hosts: Sequence[str]) -> bool:
    return any(host in hosts for _, host in answer.exchanges)


EXAMINERS: dict[str, Callable[[Expected, Resolver], Finding]] = {
    "verification": check_verification,
    "spf": check_spf,
    "dkim": check_dkim,
    "return_path": check_return_path,
    "mx": check_mx,
    "dmarc": check_dmarc,
}
