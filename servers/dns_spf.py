"""Checks whether a domain's SPF record passes its mail, and does not pass all addresses."""

from collections.abc import Sequence

from dnschecks import spf
from dnschecks.findings import Finding, failed, invalid, missing, ok
from dnschecks.near_misses import special_fault, spf_fault, spf_ignored
from dnschecks.resolver import Answer, Resolver
from dnschecks.spf_costs import circular, costs
from dnschecks.spf_record import is_record
from servers.dns_phrases import listed, shown
from servers.dns_records import Expected, spf_terms, spf_text

# Where a server has no address yet, an SPF record can still be malformed: this one, of RFC 5737, passes nowhere.
NOBODYS_ADDRESS = "192.0.2.1"
# Nothing is sent from a multicast address for documentation (RFC 6676): who lets it pass lets everybody pass.
ANYBODYS_ADDRESS = "233.252.0.1"
_REFUSALS = frozenset({spf.Result.FAIL, spf.Result.SOFTFAIL, spf.Result.NEUTRAL, spf.Result.NONE})


def check_spf(expected: Expected, resolver: Resolver) -> Finding:
    """The domain's SPF record passes every address that can send its mail."""
    answer = resolver.ask(expected.name, "TXT")
    if answer.is_failure:
        return failed(answer)
    records = [text for text in answer.texts if is_record(text)]
    if not records:
        return _none(expected, answer)
    if len(records) > 1:
        return invalid(f"There are {len(records)} SPF records, and receivers accept only one: merge them.", answer)
    sendings = [(each.address, each.helo) for each in expected.sendings] or [(NOBODYS_ADDRESS, expected.name)]
    verdicts = _verdicts(expected.name, sendings, resolver)
    for _, verdict in verdicts:
        if verdict.result is spf.Result.PERMERROR:
            fault = special_fault(records[0]) or _broken(expected, verdict, resolver)
            return invalid(f"The SPF record cannot be evaluated: {fault}.", answer)
    if expected.sendings:
        refused = [(address, each) for address, each in verdicts if each.result in _REFUSALS]
        if refused:
            sentences = [_ignored(records[0]), _refusal(expected, refused, records[0])]
            return invalid(" ".join(filter(None, sentences)), answer)
    broken = [verdict for _, verdict in verdicts if verdict.result is spf.Result.TEMPERROR]
    if broken:
        return Finding(
            None,
            f"SPF could not be evaluated: {broken[0].reason}. The last known status is shown.",
            answer.describe(),
        )
    return ok(answer, warning=" ".join(filter(None, [_ignored(records[0]), _warning(expected, resolver)])))


def _none(expected: Expected, answer: Answer) -> Finding:
    for text in answer.texts:
        if fault := spf_fault(text):
            return invalid(f"Receivers do not take “{shown(text)}” for an SPF record: {fault}.", answer)
    return missing(f"There is no SPF record. Publish the TXT record “{spf_text(expected)}” at {expected.name}.", answer)


def _ignored(record: str) -> str:
    """Return a sentence about a term that has an equals sign for a colon; "" if there is none."""
    term = spf_ignored(record)
    return f"Receivers ignore “{shown(term)}”: write “{shown(term.replace('=', ':', 1))}”." if term else ""


def _warning(expected: Expected, resolver: Resolver) -> str:
    """Return a warning if the record passes every address, or cannot be evaluated for other addresses."""
    if not resolver.remaining():
        return ""
    verdict = spf.evaluate(ANYBODYS_ADDRESS, sender=expected.name, helo=expected.name, resolver=resolver)
    if verdict.result is spf.Result.PASS:
        what = f"“{shown(verdict.term)}” passes every address, so anyone can send as {expected.name}."
        if verdict.term.lower() in ("all", "+all"):
            return f"{what} End the record with “~all” or “-all”."
        return f"{what} Remove it, or replace it with terms for the addresses that send."
    if verdict.result is spf.Result.PERMERROR:
        return f"For mail from other addresses the record cannot be evaluated: {_broken(expected, verdict, resolver)}."
    return ""


def _broken(expected: Expected, verdict: spf.Verdict, resolver: Resolver) -> str:
    """Return why the record cannot be evaluated, and for too many look-ups which terms to shorten."""
    if verdict.lookups <= spf.MAX_LOOKUPS:
        return verdict.reason
    terms = sorted(costs(expected.name, resolver), key=lambda each: -each[1])
    needed = listed(f"“{shown(term)}” {cost}" for term, cost in terms)
    advice = "Remove unused terms, or replace the largest term with its networks (ip4:, ip6:)"
    if term := circular(expected.name, resolver):
        # It would count without end, whatever the others need.
        advice = f"Remove “{shown(term)}”: it leads to a record that includes itself"
    return f"{verdict.reason} ({needed}). {advice}"


def _verdicts(name: str, sendings: Sequence[tuple[str, str]], resolver: Resolver) -> list[tuple[str, spf.Verdict]]:
    """Evaluate the name's SPF record for each address; when the time is over, the last verdict says so."""
    verdicts: list[tuple[str, spf.Verdict]] = []
    for address, helo in sendings:
        verdict = spf.evaluate(address, sender=name, helo=helo, resolver=resolver)
        if verdict.result is spf.Result.TEMPERROR and not resolver.remaining():
            # A record of thousands of terms, for thousands of addresses, must not occupy the worker.
            reason = f"{resolver.limit_reached()} after {len(verdicts)} of {len(sendings)} addresses"
            return [*verdicts, (address, spf.Verdict(spf.Result.TEMPERROR, reason=reason))]
        verdicts.append((address, verdict))
    return verdicts


def _refusal(expected: Expected, refused: Sequence[tuple[str, spf.Verdict]], record: str) -> str:
    addresses = [address for address, _ in refused]
    first = refused[0][1]
    because = f"{first.result} by “{shown(first.term)}”" if first.term else f"{first.result}: no term matches"
    terms = " ".join(spf_terms(expected, addresses))
    verb = "does" if len(addresses) == 1 else "do"
    # What follows a matching `all` is never read, so the terms go to the front.
    return f"{listed(addresses)} {verb} not pass ({because}). Put “{shown(terms)}” after “v=spf1” in “{shown(record)}”."
