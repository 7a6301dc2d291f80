"""Checks whether a DMARC policy applies to a domain, and recommends changes that do not weaken it."""

import re
from collections.abc import Sequence

from dnschecks import dmarc
from dnschecks.dmarc_discovery import Inherited, discover
from dnschecks.findings import Finding, failed, invalid, missing, ok
from dnschecks.near_misses import special_fault, unwrapped
from dnschecks.resolver import Outcome, Resolver
from servers.dns_dmarc_reports import unsent
from servers.dns_doubled import doubled, with_text
from servers.dns_phrases import listed, shown, why_none
from servers.dns_records import DMARC_PROPOSAL, IN_FORCE, PUBLISHED, Expected, strictness

# What is kept of a published record, to be shown as the one to publish.
LONGEST_KEPT = 1_000
_PRINTABLE = re.compile(r"[ -~]*")


def check_dmarc(expected: Expected, resolver: Resolver) -> Finding:
    """Receivers find one valid policy: the domain's own, or that of a parent domain.

    It is the owner's to choose: every p= is as right as none. Alignment is always possible: the platform signs with d=NAME,
    which aligns relaxed and strict.
    """
    answer = resolver.ask(expected.dmarc_name, "TXT")
    if answer.is_failure:
        return failed(answer)
    records = [text for text in answer.texts if dmarc.is_record(text)]
    if len(records) > 1:
        sentence = f"There are {len(records)} DMARC records, so receivers ignore all of them: keep one."
        return invalid(sentence, answer, facts=_meant(records, in_force=""))
    if records:
        try:
            own = dmarc.parse(records[0])
        except dmarc.BadRecord as error:
            received = dmarc.as_received(records[0])
            facts = _meant(records, in_force=received.p if received else "")
            fault = special_fault(records[0]) or error
            return invalid(f"The DMARC record is wrong: {fault}.", answer, facts=facts)
        warnings = [_weakness(expected, own, resolver), _of_a_test(own), unsent(expected.name, own, resolver)]
        return ok(answer, warning=" ".join(filter(None, warnings)), facts=_kept(records[0], own.p))
    meant = [text for text in answer.texts if dmarc.looks_meant(unwrapped(text)[0])]
    found = discover(expected.name, resolver, exists=_exists(expected, resolver))
    if meant:
        fault = unwrapped(meant[0])[1] if dmarc.is_record(unwrapped(meant[0])[0]) else ""
        fault = fault or special_fault(meant[0]) or "it must begin with “v=DMARC1;”"
        # What cannot be learned here is not needed to say so.
        above = "" if found.is_failure or found.inherited is None else found.inherited.policy
        facts = _meant([unwrapped(text)[0] for text in meant], in_force=above)
        return invalid(f"“{shown(meant[0])}” is not a DMARC record: {fault}.", answer, facts=facts)
    if found.is_failure:
        return failed(answer, *found.answers)
    publish = f"Publish the TXT record “{expected.dmarc_text or DMARC_PROPOSAL}” at {expected.dmarc_name}."
    if found.inherited is None:
        elsewhere = doubled(expected.dmarc_name, expected.name, resolver, with_text(dmarc.looks_meant))
        return missing(f"{why_none(answer, 'DMARC record')} {elsewhere}{publish}", answer, facts={IN_FORCE: ""})
    facts = {IN_FORCE: found.inherited.policy}
    if strictness(expected.dmarc_text) > strictness(facts[IN_FORCE]):
        return missing(f"{_applies(expected, found.inherited)} {publish}", answer, *found.answers, facts=facts)
    note = f"{_applies(expected, found.inherited)} It needs no record of its own."
    return ok(answer, *found.answers, warning=note, facts=facts)


def _applies(expected: Expected, inherited: Inherited) -> str:
    return (
        f"Receivers use the record at {inherited.name} for {expected.name}, “{shown(inherited.text)}”, "
        f"so the policy is {inherited.policy}."
    )


def _weakness(expected: Expected, own: dmarc.Policy, resolver: Resolver) -> str:
    """Return what to say of a subdomain's own record that undoes the policy above it."""
    if own.p == dmarc.POLICIES[-1] or expected.name.count(".") < 2:
        return ""
    above = discover(expected.name, resolver, exists=True).inherited
    if above is None or strictness(above.policy) <= strictness(own.p):
        return ""
    return (
        f"Its own record (p={own.p}) is weaker than the one at {above.name}, by which the policy would be {above.policy}: "
        f"remove it, or publish “p={above.policy}”."
    )


def _of_a_test(own: dmarc.Policy) -> str:
    """Return what to say of a policy that is published and yet not applied to all mail that fails."""
    policy = max(own.p, own.sp, key=dmarc.POLICIES.index)
    if policy == dmarc.POLICIES[0]:
        return ""
    tags = [*([f"pct={own.percent}"] if own.percent < 100 else []), *(["t=y"] if own.is_testing else [])]
    if not tags:
        return ""
    milder = dmarc.POLICIES[dmarc.POLICIES.index(policy) - 1]
    all_of_it = "all" if own.is_testing or not own.percent else f"{100 - own.percent} in 100"
    return (
        f"By {listed(f'“{tag}”' for tag in tags)} the policy is being tested: to {all_of_it} messages that fail, receivers "
        f"apply {milder} instead of {policy}. Remove {'it' if len(tags) == 1 else 'them'} when the test is over."
    )


def _meant(texts: Sequence[str], *, in_force: str) -> dict[str, str]:
    """Return what is known of wrong records: the policy in force, and the strictest that they say, put right.

    One that would be weaker than what is in force is not to be published.
    """
    right = max(filter(None, map(dmarc.repaired, texts)), key=strictness, default="")
    return _kept(right, in_force) if right and strictness(right) >= strictness(in_force) else {IN_FORCE: in_force}


def _kept(text: str, in_force: str) -> dict[str, str]:
    facts = {IN_FORCE: in_force}
    if len(text) <= LONGEST_KEPT and _PRINTABLE.fullmatch(text):
        facts[PUBLISHED] = text
    return facts


def _exists(expected: Expected, resolver: Resolver) -> bool:
    return resolver.ask(expected.name, "TXT").outcome is not Outcome.NO_NAME
