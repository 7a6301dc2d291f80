"""“Which limit applies?”: the winning rule of one address towards one domain, and how it was found."""

from dataclasses import dataclass
from typing import Any

from ippools.models import IPAddress
from panel.formatting import limits_in_words
from throttling import rule_sets
from throttling.domains import NotADomain, domain_name
from throttling.limits import EffectiveLimits, LimitTable, Source, effective, trace
from throttling.models import ThrottleProgram

LONGEST = 300


@dataclass(frozen=True, slots=True)
class Answer:
    """What is shown: the limits in words, whose they are, and each step that was considered."""

    domain: str
    limits: EffectiveLimits
    connections: str
    messages: str
    program: str
    steps: list[dict[str, Any]]


def tables_of(address: IPAddress) -> tuple[LimitTable, LimitTable]:
    """Return the address's own rules and its template's, by three queries."""
    own, template = address.rules, address.template.rules
    rules = list(rule_sets.rules_of(own.pk, template.pk))
    return tuple(
        rule_sets.limit_table(each, [rule for rule in rules if rule.rule_set_id == each.pk]) for each in (own, template)
    )  # type: ignore[return-value]  # Two go in, two come out.


def answer(address: IPAddress, text: str) -> Answer | str:
    """Return which limits the address has towards the domain, or a sentence on why the text is none."""
    text = text.strip()
    # People paste addresses too.
    text = text.rpartition("@")[2]
    try:
        domain = domain_name(text[:LONGEST])
    except NotADomain:
        return f"“{text[:80]}” is no domain name. Type one such as gmail.com."
    own, template = tables_of(address)
    limits = effective((own, template), (), domain)
    names = dict(ThrottleProgram.objects.values_list("pk", "name"))
    program = limits.rule.throttle_program_id if limits.rule else None
    return Answer(
        domain=domain,
        limits=limits,
        connections=_words(limits.max_concurrent_connections),
        messages=_words(limits.max_messages_per_hour),
        program=names.get(program, "none") if program else "none",
        steps=[
            {
                "number": number,
                "whose": whose(step.source),
                "pattern": step.pattern,
                "rule": None
                if step.rule is None
                else limits_in_words(step.rule.max_concurrent_connections, step.rule.max_messages_per_hour),
            }
            for number, step in enumerate(trace((own, template), domain), start=1)
        ],
    )


def whose(source: Source | None) -> str:
    """Return in words whose rule or default it is."""
    return {Source.ADDRESS: "the address's own", Source.TEMPLATE: "the template's", None: "nobody's"}[source]


def _words(limit: int) -> str:
    return "unlimited" if limit == 0 else f"{limit:,}"
