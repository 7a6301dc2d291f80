"""Checks whether a domain's SPF record passes its mail, and does not pass all addresses."""

from collections.abc import Sequence

from dnschecks import spf
from dnschecks.findings import Finding, failed, invalid, missing, ok
from dnschecks.near_misses import special_fault, spf_fault, spf_ignored
from dnschecks.quoting import cut
from dnschecks.resolver import Answer, Resolver
from dnschecks.spf_costs import circular, costs, includes, void_terms
from dnschecks.spf_record import is_record
from dnschecks.spf_repair import completed
from servers.dns_doubled import doubled, with_text
from servers.dns_phrases import listed, shown
from servers.dns_records import Expected, address_terms, spf_terms, spf_text

# Where a server has no address yet, an SPF record can still be malformed: this one, of RFC 5737, passes nowhere.
NOBODYS_ADDRESS = "192.0.2.1"
# Nothing is sent from a multicast address for documentation (RFC 6676): who lets it pass lets everybody pass.
ANYBODYS_ADDRESSES = {"233.252.0.1": "IPv4 address", "ff0e::db8:0:1": "IPv6 address"}
# Of a record that is quoted as the one to publish.
LONGEST_MERGED = 1_000
SHORTEN = "Remove unused terms, or replace the largest term with its networks (ip4:, ip6:)"
_REFUSALS = frozenset({spf.Result.FAIL, spf.Result.SOFTFAIL, spf.Result.NEUTRAL, spf.Result.NONE})


def check_spf(expected: Expected, resolver: Resolver) -> Finding:
    """The domain's SPF record passes every address that can send its mail."""
    answer = resolver.ask(expected.name, "TXT")
    if answer.is_failure:
        return failed(answer)
    records = [text for text in answer.texts if is_record(text)]
    if not records:
        return _none(expected, answer, resolver)
    if len(records) > 1:
        terms = spf_terms(expected, [each.address for each in expected.sendings]) if expected.sendings else []
        merged = cut(completed(records, terms), LONGEST_MERGED)
        return invalid(
            f"There are {len(records)} SPF records, and receivers accept only one: merge them, as in “{merged}”.",
            answer,
        )
    sendings = [(each.address, each.helo) for each in expected.sendings] or [(NOBODYS_ADDRESS, expected.name)]
    verdicts = _verdicts(expected.name, sendings, resolver)
    for _, verdict in verdicts:
        if verdict.result is spf.Result.PERMERROR:
            fault = special_fault(records[0]) or _broken(expected, verdict, resolver)
            return invalid(f"The SPF record cannot be evaluated: {fault}.", answer)
    if expected.sendings:
        refused = [(address, each) for address, each in verdicts if each.result in _REFUSALS]
        if refused:
            sentences = [_ignored(records[0]), *_refusal(expected, refused, records[0], resolver)]
            return invalid(" ".join(filter(None, sentences)), answer)
    broken = [verdict for _, verdict in verdicts if verdict.result is spf.Result.TEMPERROR]
    if broken:
        return Finding(
            None,
            f"SPF could not be evaluated: {broken[0].reason}.",
            answer.describe(),
        )
    return ok(answer, warning=" ".join(filter(None, [_ignored(records[0]), _warning(expected, resolver)])))


def _none(expected: Expected, answer: Answer, resolver: Resolver) -> Finding:
    for text in answer.texts:
        if fault := spf_fault(text):
            return invalid(f"Receivers do not take “{shown(text)}” for an SPF record: {fault}.", answer)
    elsewhere = doubled(expected.name, expected.name, resolver, with_text(is_record))
    publish = f"Publish the TXT record “{spf_text(expected)}” at {expected.name}."
    return missing(f"There is no SPF record. {elsewhere}{publish}", answer)


def _ignored(record: str) -> str:
    """Return a sentence about a term that has an equals sign for a colon; "" if there is none."""
    term = spf_ignored(record)
    return f"Receivers ignore “{shown(term)}”: write “{shown(term.replace('=', ':', 1))}”." if term else ""


def _warning(expected: Expected, resolver: Resolver) -> str:
    """Return a warning if the record passes every address, or cannot be evaluated for other addresses."""
    if not resolver.remaining():
        return ""
    verdicts = {
        which: spf.evaluate(address, sender=expected.name, helo=expected.name, resolver=resolver)
        for address, which in ANYBODYS_ADDRESSES.items()
    }
    passing = {which: each.term for which, each in verdicts.items() if each.result is spf.Result.PASS}
    if passing:
        which, term = next(iter(passing.items()))
        what = f"every {'address' if len(passing) == len(verdicts) else which}"
        sentence = f"“{shown(term)}” passes {what}, so anyone can send as {expected.name}."
        if term.lower() in ("all", "+all"):
            return f"{sentence} End the record with “~all” or “-all”."
        return f"{sentence} Remove it, or replace it with terms for the addresses that send."
    verdict = next(iter(verdicts.values()))
    if verdict.result is spf.Result.PERMERROR:
        return f"For mail from other addresses the record cannot be evaluated: {_broken(expected, verdict, resolver)}."
    return ""


def _broken(expected: Expected, verdict: spf.Verdict, resolver: Resolver) -> str:
    """Return why the record cannot be evaluated, and for too many look-ups which terms to shorten or remove."""
    if verdict.void_lookups > spf.MAX_VOID_LOOKUPS:
        terms = void_terms(expected.name, resolver)
        named = listed(f"“{shown(term)}”" for term in terms or [verdict.term])
        return f"{verdict.reason}. {'Remove ' + named if terms else named + ' leads to them'}"
    if verdict.lookups <= spf.MAX_LOOKUPS:
        return verdict.reason
    advice = SHORTEN
    if term := circular(expected.name, resolver):
        # It would count without end, whatever the others need.
        advice = f"Remove “{shown(term)}”: it leads to a record that includes itself"
    return f"{verdict.reason} ({_needed(costs(expected.name, resolver))}). {advice}"


def _needed(terms: Sequence[tuple[str, int]]) -> str:
    """Return how many look-ups each term needs, the largest first."""
    return listed(f"“{shown(term)}” {cost}" for term, cost in sorted(terms, key=lambda each: -each[1]))


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


def _refusal(
    expected: Expected, refused: Sequence[tuple[str, spf.Verdict]], record: str, resolver: Resolver
) -> list[str]:
    """Return sentences about the addresses that do not pass: what stops them, and what to change where."""
    addresses = [address for address, _ in refused]
    first = refused[0][1]
    because = f"{first.result} by “{shown(first.term)}”" if first.term else f"{first.result}: no term matches"
    sentences = [f"{listed(addresses)} {_do(addresses)} not pass ({because})."]
    outside = _not_included(expected, addresses, resolver)
    if outside:
        terms = shown(" ".join(address_terms(outside)))
        sentences.append(
            f"{expected.spf_include}, this platform's own record, does not pass {listed(outside)}: the platform must add "
            f"“{terms}” to it."
        )
    if len(outside) == len(addresses) and includes(record, expected.spf_include):
        return sentences
    # What follows a matching `all` is never read, so the terms go to the front.
    terms = shown(" ".join(spf_terms(expected, addresses)))
    put = f"Put “{terms}” after “v=spf1” in “{shown(record)}”."
    return [*sentences, *_beyond(expected, record, resolver), put]


def _do(addresses: Sequence[str]) -> str:
    return "does" if len(addresses) == 1 else "do"


def _not_included(expected: Expected, addresses: Sequence[str], resolver: Resolver) -> list[str]:
    """Return those addresses that the platform's own record, which domains include, does not pass either."""
    if not expected.spf_include:
        return []
    verdicts = _verdicts(expected.spf_include, [(each, each) for each in addresses], resolver)
    return [address for address, each in verdicts if each.result in {*_REFUSALS, spf.Result.PERMERROR}]


def _beyond(expected: Expected, record: str, resolver: Resolver) -> list[str]:
    """Return a sentence about the look-ups that the record would need with the platform's include, if they are too many."""
    if not expected.spf_include or includes(record, expected.spf_include):
        return []
    own = 1 + sum(cost for _, cost in costs(expected.spf_include, resolver))
    terms = [*costs(expected.name, resolver), (f"include:{expected.spf_include}", own)]
    total = sum(cost for _, cost in terms)
    if total <= spf.MAX_LOOKUPS:
        return []
    limit = f"{total} DNS look-ups, and only {spf.MAX_LOOKUPS} are allowed ({_needed(terms)})"
    return [f"With this platform's include it would need {limit}, so shorten it first. {SHORTEN}."]
