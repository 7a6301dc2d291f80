"""Whether DNS says of a domain what it must: six checks, each with a sentence that tells the operator what to change.

The checks know DNS and what is expected, not the database. Texts from DNS are quoted in the sentences, cut short.
"""

from collections.abc import Callable, Iterable, Sequence

from dnschecks import dkim, dmarc, spf
from dnschecks.findings import Finding, Findings, failed, invalid, missing, ok
from dnschecks.resolver import Answer, Outcome, Resolver
from dnschecks.spf_record import is_record as is_spf_record
from servers.dns_records import VERIFICATION_PREFIX, Expected, dkim_text, spf_terms, spf_text

CHECKS = ("verification", "spf", "dkim", "return_path", "mx", "dmarc")
# Addresses that a sentence names before it says how many more there are.
NAMED = 5
CNAME_STEPS = 5
# Where a server has no address yet, an SPF record can still be malformed: this one, of RFC 5737, passes nowhere.
NOBODYS_ADDRESS = "192.0.2.1"


def examine(expected: Expected, resolver: Resolver) -> Findings:
    """Return a finding for each of CHECKS."""
    return {check: EXAMINERS[check](expected, resolver) for check in CHECKS}


def check_verification(expected: Expected, resolver: Resolver) -> Finding:
    """The exact text is among the TXT records at the name."""
    answer = resolver.ask(expected.name, "TXT")
    if answer.is_failure:
        return failed(answer)
    if expected.verification_text in answer.texts:
        return ok(answer)
    publish = f"Publish the TXT record “{expected.verification_text}” at {expected.name}."
    others = [text for text in answer.texts if VERIFICATION_PREFIX in text]
    if others:
        return invalid(f"The TXT record “{_shown(others[0])}” is not this domain's. {publish}", answer)
    return missing(f"{_why_none(answer, 'TXT record')} {publish}", answer)


def check_spf(expected: Expected, resolver: Resolver) -> Finding:
    """The domain's SPF record, evaluated, passes every address that its mail may leave by."""
    answer = resolver.ask(expected.name, "TXT")
    if answer.is_failure:
        return failed(answer)
    records = [text for text in answer.texts if is_spf_record(text)]
    if not records:
        return missing(
            f"There is no SPF record. Publish the TXT record “{spf_text(expected)}” at {expected.name}.", answer
        )
    if len(records) > 1:
        return invalid(f"There are {len(records)} SPF records, and receivers accept only one: merge them.", answer)
    sendings = [(each.address, each.helo) for each in expected.sendings] or [(NOBODYS_ADDRESS, expected.name)]
    verdicts = _verdicts(expected.name, sendings, resolver)
    for _, verdict in verdicts:
        if verdict.result is spf.Result.PERMERROR:
            return invalid(f"The SPF record cannot be evaluated: {verdict.reason}.", answer)
    if expected.sendings:
        refused = [(address, each) for address, each in verdicts if each.result in _REFUSALS]
        if refused:
            return invalid(_refusal(expected, refused, records[0]), answer)
    broken = [verdict for _, verdict in verdicts if verdict.result is spf.Result.TEMPERROR]
    if broken:
        return Finding(
            None,
            f"SPF could not be evaluated: {broken[0].reason}. The status is the last one known.",
            answer.describe(),
        )
    return ok(answer)


def _verdicts(name: str, sendings: Sequence[tuple[str, str]], resolver: Resolver) -> list[tuple[str, spf.Verdict]]:
    """Evaluate the name's SPF record for each address; when the time is over, the last verdict says so."""
    verdicts: list[tuple[str, spf.Verdict]] = []
    for address, helo in sendings:
        if not resolver.remaining():
            # A record of thousands of terms, for thousands of addresses: nobody may occupy the worker with it.
            reason = f"the {resolver.time_limit:g} seconds were over after {len(verdicts)} of {len(sendings)} addresses"
            return [*verdicts, (address, spf.Verdict(spf.Result.TEMPERROR, reason=reason))]
        verdicts.append((address, spf.evaluate(address, sender=name, helo=helo, resolver=resolver)))
    return verdicts


_REFUSALS = frozenset({spf.Result.FAIL, spf.Result.SOFTFAIL, spf.Result.NEUTRAL, spf.Result.NONE})


def _refusal(expected: Expected, refused: Sequence[tuple[str, spf.Verdict]], record: str) -> str:
    addresses = [address for address, _ in refused]
    first = refused[0][1]
    because = f"{first.result} by “{_shown(first.term)}”" if first.term else f"{first.result}: no term matches"
    terms = " ".join(spf_terms(expected, addresses))
    verb = "does" if len(addresses) == 1 else "do"
    # What follows a matching `all` is never read, so the terms go to the front.
    return (
        f"{_listed(addresses)} {verb} not pass ({because}). Put “{_shown(terms)}” after “v=spf1” in “{_shown(record)}”."
    )


def check_dkim(expected: Expected, resolver: Resolver) -> Finding:
    """One TXT record at the selector, with our public key."""
    answer = resolver.ask(expected.dkim_name, "TXT")
    if answer.is_failure:
        return failed(answer)
    publish = f"Publish the TXT record “{dkim_text(expected)}” at {expected.dkim_name}."
    if not answer.records:
        return missing(f"{_why_none(answer, 'DKIM record')} {publish}", answer)
    if len(answer.records) > 1:
        return invalid(
            f"There are {len(answer.records)} TXT records at {expected.dkim_name}: leave only the DKIM record.", answer
        )
    try:
        public = dkim.public_key_of(answer.texts[0])
    except dkim.BadRecord as error:
        return invalid(f"The DKIM record is wrong: {error}. {publish}", answer)
    if public == expected.dkim_public_key:
        return ok(answer)
    if not dkim.is_usable_key(public):
        return invalid(f"The DKIM record's key is damaged, perhaps cut when it was pasted. {publish}", answer)
    return invalid(f"The DKIM record has another key. {publish}", answer)


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
            return invalid(f"The CNAMEs of {expected.return_path_name} lead in a circle. {publish}", *seen)
    if len(seen) == 1:
        return missing(f"{_why_none(seen[0], 'CNAME')} {publish}", *seen)
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
    publish = f"Publish MX records at {expected.name} for {_listed(absent)}."
    if not hosts:
        return missing(f"{_why_none(answer, 'MX record')} {publish}", answer)
    if hosts == [""]:
        return invalid(f"The MX record says that {expected.name} takes no mail. {publish}", answer)
    if len(absent) == len(expected.mx_hosts):
        return missing(f"The MX records name {_listed(hosts)} and none of this platform's hosts. {publish}", answer)
    return invalid(f"Not every expected host is among the MX records. {publish}", answer)


def check_dmarc(expected: Expected, resolver: Resolver) -> Finding:
    """There is one valid policy. It is the owner's to choose: every p= is as strict as none.

    Alignment is always possible: the platform signs with d=NAME, which aligns relaxed and strict.
    """
    answer = resolver.ask(expected.dmarc_name, "TXT")
    if answer.is_failure:
        return failed(answer)
    publish = f"Publish the TXT record “{expected.dmarc_text}” at {expected.dmarc_name}."
    records = [text for text in answer.texts if dmarc.is_record(text)]
    if len(records) > 1:
        return invalid(f"There are {len(records)} DMARC records, and receivers then heed none: leave one.", answer)
    if not records:
        meant = [text for text in answer.texts if dmarc.looks_meant(text)]
        if meant:
            return invalid(f"“{_shown(meant[0])}” is no DMARC record: it must begin with “v=DMARC1;”.", answer)
        return missing(f"{_why_none(answer, 'DMARC record')} {publish}", answer)
    try:
        dmarc.parse(records[0])
    except dmarc.BadRecord as error:
        return invalid(f"The DMARC record is wrong: {error}.", answer)
    return ok(answer)


EXAMINERS: dict[str, Callable[[Expected, Resolver], Finding]] = {
    "verification": check_verification,
    "spf": check_spf,
    "dkim": check_dkim,
    "return_path": check_return_path,
    "mx": check_mx,
    "dmarc": check_dmarc,
}


def _why_none(answer: Answer, what: str) -> str:
    match answer.outcome:
        case Outcome.NO_NAME:
            return f"The name {answer.name} does not exist."
        case Outcome.CNAME_LOOP:
            return f"The CNAMEs of {answer.name} lead in a circle."
        case _:
            return f"There is no such {what} at {answer.name}."


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    if len(names) > NAMED:
        return f"{', '.join(names[:NAMED])} and {len(names) - NAMED} more"
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _shown(text: str) -> str:
    return text if len(text) <= 300 else text[:299] + "…"
