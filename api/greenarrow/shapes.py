"""Records in the words of GreenArrow's pages."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from ippools.models import IPAddress, RelayServer, RoutingRule, VirtualMTA
from throttling.limits import Considered, EffectiveLimits, LimitRule, Source
from throttling.models import Rule, ThrottleProgram, ThrottlingTemplate
from throttling.rule_sets import rules_of

type Shape = dict[str, Any]


def list_row(pk: int, name: str) -> Shape:
    """A row of most lists."""
    return {"id": pk, "name": name}


def virtual_mta_row(pk: int, name: str, kind: str) -> Shape:
    """A row of the list of VirtualMTAs, and a reference to one."""
    return {"type": kind, "id": pk, "name": name}


def virtual_mta(found: VirtualMTA | None) -> Shape | None:
    """A reference to a VirtualMTA, as in `redirect`."""
    return None if found is None else virtual_mta_row(found.pk, found.name, found.kind)


def limits(found: Any) -> Shape:
    """The two limits of whatever has them."""
    return {
        "max_concurrent_connections": found.max_concurrent_connections,
        "max_messages_per_hour": found.max_messages_per_hour,
    }


def throttling_rule(rule: Rule) -> Shape:
    """A rule that came from `rules_of`."""
    program = rule.throttle_program
    return {
        "id": rule.pk,
        "domains": [domain.pattern for domain in rule.domains.all()],
        **limits(rule),
        "throttle_program": None if program is None else list_row(program.pk, program.name),
    }


def throttling_rules(rule_set_id: int) -> list[Shape]:
    """All rules of a set: two queries, however many there are."""
    return [throttling_rule(rule) for rule in rules_of(rule_set_id)]


def ip_address(address: IPAddress) -> Shape:
    """An address with its rules; its template, rule set and redirect should have been joined."""
    return {
        "id": address.pk,
        "name": address.name,
        "ip": address.ipv4,
        "hostname": address.hostname,
        "redirect": virtual_mta(address.redirect),
        "throttling_template": list_row(address.template.pk, address.template.name),
        "rules": throttling_rules(address.rules_id),
        "default": limits(address.rules),
        "delivery_paused": address.delivery_paused,
    }


def throttling_template(template: ThrottlingTemplate) -> Shape:
    """A template with its rules; its rule set should have been joined."""
    return {
        "id": template.pk,
        "name": template.name,
        "rules": throttling_rules(template.rules_id),
        "default": limits(template.rules),
    }


def throttle_program(program: ThrottleProgram) -> Shape:
    """A throttle program."""
    return {
        "id": program.pk,
        "name": program.name,
        "builtin": program.is_builtin,
        "backoff": {
            "max_concurrent_connections": {
                "mode": program.backoff_connections_mode,
                "value": program.backoff_connections_value,
            },
            "max_messages_per_hour": {
                "mode": program.backoff_messages_mode,
                "value": program.backoff_messages_value,
            },
            "return_after": program.return_after_seconds,
        },
        "triggers": {"failure_rate": program.failure_rate, "deferral_rate": program.deferral_rate},
    }


def relay_server(relay: RelayServer) -> Shape:
    """A relay server; its redirect should have been joined."""
    return {
        "id": relay.pk,
        "name": relay.name,
        "source_ip": {"ip": relay.source_ip, "hostname": relay.source_hostname},
        "destination": {
            "hostname": relay.destination_hostname,
            "port": relay.destination_port,
            "username": relay.destination_username,
            # GreenArrow: the vendor returns the password in clear. We never do.
            "password": None,
        },
        "throttle_limits": limits(relay),
        "redirect": virtual_mta(relay.redirect),
    }


def routing_rule(rule: RoutingRule) -> Shape:
    """A routing rule with its overrides: three queries, however many there are."""
    through: dict[int | None, list[Shape]] = {}
    for target in rule.targets.select_related("virtual_mta").order_by("pk"):
        through.setdefault(target.override_id, []).append(
            {"virtual_mta": virtual_mta(target.virtual_mta), "portion_of_mail": _number(target.portion_of_mail)}
        )
    return {
        "id": rule.pk,
        "name": rule.name,
        "domain_overrides": [
            {
                "id": override.pk,
                "domains": [domain.pattern for domain in override.domains.all()],
                "randomization_type": override.randomization_type,
                "deliver_through": through.get(override.pk, []),
            }
            for override in rule.domain_overrides.prefetch_related("domains").order_by("pk")
        ],
        "default": {"randomization_type": rule.randomization_type, "deliver_through": through.get(None, [])},
    }


def throttle(address: IPAddress, source: Source, rule: LimitRule) -> Shape:
    """The live state of one rule on one address. Nothing drives backoff yet, so its fields say that there is none."""
    return {
        # An address and a rule make one throttle; both can be read from its id, which is exact in JavaScript too.
        "id": (address.pk << 32) + rule.id,
        "ip_address": list_row(address.pk, address.name),
        "throttling_rule": owned_rule(address, source, rule),
        "normal_max_messages_per_hour": rule.max_messages_per_hour,
        "normal_max_concurrent_connections": rule.max_concurrent_connections,
        "domains": list(rule.domains),
        "in_backoff": False,
        "backoff_reason": None,
        "backoff_began_at": None,
        "backoff_ends_at": None,
        "backoff_max_messages_per_hour": None,
        "backoff_max_concurrent_connections": None,
    }


def owned_rule(address: IPAddress, source: Source, rule: LimitRule) -> Shape:
    """A rule by its id, and whose it is."""
    kind = owner_kind(source)
    owner = address if source == Source.ADDRESS else address.template
    return {"type": kind, "id": rule.id, kind: list_row(owner.pk, owner.name)}


def owner_kind(source: Source) -> str:
    """The dialect's word for the side that a rule or default is on."""
    return "ip_address" if source == Source.ADDRESS else "throttling_template"


def effective_limits(
    address: IPAddress, found: EffectiveLimits, steps: Iterable[Considered], programs: dict[int, str]
) -> Shape:
    """What holds for one domain, and why. `programs` are the names of throttle programs."""
    rule = found.rule
    program_id = None if rule is None else rule.throttle_program_id
    return {
        "domain": found.domain,
        **limits(found),
        "throttle_program": None if program_id is None else list_row(program_id, programs[program_id]),
        "throttling_rule": None
        if rule is None or found.source is None
        else {**owned_rule(address, found.source, rule), "domain": found.pattern},
        # Where each number comes from: the rule's owner or, where no rule matches, whoever's default is not null.
        "decided_by": {
            "max_concurrent_connections": owner_kind(found.connections_from),
            "max_messages_per_hour": owner_kind(found.messages_from),
        },
        "trace": [
            {
                "type": owner_kind(step.source),
                "domain": step.pattern,
                "throttling_rule": None if step.rule is None else {"id": step.rule.id},
            }
            for step in steps
        ],
    }


def _number(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)
