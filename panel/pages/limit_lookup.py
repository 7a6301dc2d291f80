"""“Which limit applies?”: the winning rule of an address for a domain, with the trace."""

import datetime
from dataclasses import dataclass
from typing import Any

from django.utils import timezone
from django.utils.formats import date_format

from ippools import caps
from ippools.limits import limit_tables
from ippools.models import AddressCap, IPAddress
from panel.formatting import limits_in_words
from throttling.domains import NotADomain, domain_name
from throttling.limits import CapKind, EffectiveLimits, Source, effective, trace
from throttling.models import ThrottleProgram

LONGEST = 300


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer for display: the limits, their sources, and the steps of the evaluation."""

    domain: str
    limits: EffectiveLimits
    connections: str
    messages: str
    # Which rule, default or cap each number is from.
    connections_by: str
    messages_by: str
    program: str
    steps: list[dict[str, Any]]


def answer(address: IPAddress, text: str, *, at: datetime.datetime) -> Answer | str:
    """Return the limits of the address for the domain at a time, or why the text is not a domain."""
    text = text.strip()
    # People paste addresses too.
    text = text.rpartition("@")[2]
    try:
        domain = domain_name(text[:LONGEST])
    except NotADomain:
        return f"“{text[:80]}” is not a domain name. Enter one such as gmail.com."
    layers = limit_tables(address)
    limits = effective(layers, caps.of_addresses([address.pk], at=at).get(address.pk, ()), domain, at)
    names = dict(ThrottleProgram.objects.values_list("pk", "name"))
    program = limits.rule.throttle_program_id if limits.rule else None
    return Answer(
        domain=domain,
        limits=limits,
        connections=_words(limits.max_concurrent_connections),
        messages=_words(limits.max_messages_per_hour),
        connections_by=_by(limits, limits.connections_from),
        messages_by=_by(limits, limits.messages_from),
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
            for number, step in enumerate(trace(layers, domain), start=1)
        ],
    )


def _by(limits: EffectiveLimits, source: Source | CapKind) -> str:
    """Return the source of a number as text."""
    if isinstance(source, CapKind):
        [cap] = [each for each in limits.caps if each.kind == source][:1]
        until = "" if cap.until is None else f", until {date_format(timezone.localtime(cap.until), 'H:i')}"
        return f"lowered by a cap: {AddressCap.Kind(source.value).label.lower()}{until}"
    return f"by {whose(source)} " + (f"rule for {limits.pattern}" if limits.rule else "default")


def whose(source: Source | None) -> str:
    """Return the owner of a rule or default as text."""
    return {Source.ADDRESS: "the address's own", Source.TEMPLATE: "the template's", None: "nobody's"}[source]


def _words(limit: int) -> str:
    return "unlimited" if limit == 0 else f"{limit:,}"
