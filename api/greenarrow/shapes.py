"""Computed responses as plain dictionaries: throttles and effective limits, of which one response has hundreds.

Serializers document them and write the same some times slower (measured: `make bench ARGS=effective_limits`).
"""

import datetime
from collections.abc import Iterable
from typing import Any

from ippools.models import IPAddress
from throttling.limits import CapKind, Considered, EffectiveLimits, LimitRule, Source

type Shape = dict[str, Any]


def list_row(pk: int, name: str) -> Shape:
    """A record by id and name."""
    return {"id": pk, "name": name}


def owned_rule(address: IPAddress, source: Source, rule: LimitRule) -> Shape:
    """A rule by its id, and whose it is."""
    kind = owner_kind(source)
    owner = address if source == Source.ADDRESS else address.template
    return {"type": kind, "id": rule.id, kind: list_row(owner.pk, owner.name)}


def owner_kind(source: Source) -> str:
    """The dialect's word for the side that a rule or default is on."""
    return "ip_address" if source == Source.ADDRESS else "throttling_template"


def decider(source: Source | CapKind) -> str:
    """The word for what a number comes from: a side, or the kind of the cap that lowers it."""
    return owner_kind(source) if isinstance(source, Source) else source.value


def timestamp(moment: datetime.datetime | None) -> str | None:
    """A time with whole seconds and Z."""
    return None if moment is None else moment.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def effective_limits(
    address: IPAddress, found: EffectiveLimits, steps: Iterable[Considered], programs: dict[int, str]
) -> Shape:
    """What holds for one domain, and why. `programs` are the names of throttle programs."""
    rule = found.rule
    program_id = None if rule is None else rule.throttle_program_id
    return {
        "domain": found.domain,
        "max_concurrent_connections": found.max_concurrent_connections,
        "max_messages_per_hour": found.max_messages_per_hour,
        "throttle_program": None if program_id is None else list_row(program_id, programs[program_id]),
        "throttling_rule": None
        if rule is None or found.source is None
        else {**owned_rule(address, found.source, rule), "domain": found.pattern},
        # Where each number comes from: the rule's owner, the first default that is not null, or the cap that lowers it.
        "decided_by": {
            "max_concurrent_connections": decider(found.connections_from),
            "max_messages_per_hour": decider(found.messages_from),
        },
        "trace": [
            {
                "type": owner_kind(step.source),
                "domain": step.pattern,
                "throttling_rule": None if step.rule is None else {"id": step.rule.id},
            }
            for step in steps
        ]
        + [
            {
                "type": "cap",
                "cap": cap.kind.value,
                "max_messages_per_hour": cap.max_messages_per_hour,
                "until": timestamp(cap.until),
            }
            for cap in found.caps
        ],
    }
