"""The acts on addresses, templates and their like, called with values in the words of GreenArrow's pages.

Tests are shorter in these words, and know them from the contract. `update` is what PUT does; with `replaces_rules`, `rules` is
the whole list, as on the panel's pages.
"""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from core.references import Reference
from ippools import ip_addresses as address_acts
from ippools import relay_servers as relay_acts
from ippools import routing_rules as routing_acts
from ippools import virtual_mtas as virtual_mta_acts
from throttling import programs as program_acts
from throttling import rules as rule_acts
from throttling import templates as template_acts

PARTS = {
    "source_ip": {"ip": "source_ip", "hostname": "source_hostname"},
    "destination": {name: f"destination_{name}" for name in ("hostname", "port", "username", "password")},
}


def reference(value: Any) -> Reference | None:
    return None if value is None else Reference(value.get("id"), value.get("name", ""))


def rule(values: Mapping[str, Any]) -> dict[str, Any]:
    program = {"throttle_program": reference(values["throttle_program"])} if "throttle_program" in values else {}
    return {**values, **program}


def owner(values: Mapping[str, Any]) -> dict[str, Any]:
    """An address, template or relay server as its acts take it."""
    fields: dict[str, Any] = {}
    for name, value in values.items():
        match name:
            case "throttling_template" | "redirect":
                fields["template" if name == "throttling_template" else name] = reference(value)
            case "default" | "throttle_limits":
                fields |= value
            case "rules" | "rules_new":
                fields["rules" if name == "rules" else "added_rules"] = [rule(each) for each in value]
            case "source_ip" | "destination":
                fields |= {PARTS[name][inner]: each for inner, each in value.items()}
            case _:
                fields[name] = value
    return fields


def program(values: Mapping[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {"name": values["name"]} if "name" in values else {}
    backoff = values.get("backoff", {})
    for name, column in (("max_concurrent_connections", "connections"), ("max_messages_per_hour", "messages")):
        fields |= {f"backoff_{column}_{inner}": each for inner, each in backoff.get(name, {}).items()}
    if "return_after" in backoff:
        fields["return_after_seconds"] = backoff["return_after"]
    return {**fields, **values.get("triggers", {})}


def branch(values: Mapping[str, Any]) -> dict[str, Any]:
    if "deliver_through" not in values:
        return dict(values)
    targets = [{**each, "virtual_mta": reference(each["virtual_mta"])} for each in values["deliver_through"]]
    return {**values, "deliver_through": targets}


def routing(values: Mapping[str, Any]) -> dict[str, Any]:
    fields = dict(values)
    if "default" in values:
        fields["default"] = branch(values["default"])
    if "domain_overrides" in values:
        fields["domain_overrides"] = [branch(each) for each in values["domain_overrides"]]
    return fields


def _in_words(acts: Any, translate: Any) -> SimpleNamespace:
    return SimpleNamespace(
        create=lambda values, *, actor: acts.create(actor=actor, **translate(values)),
        update=lambda pk, values, *, actor, replaces_rules=False: acts.change(pk, actor=actor, **translate(values)),
        delete=acts.delete,
    )


ip_addresses = _in_words(address_acts, owner)
templates = _in_words(template_acts, owner)
relay_servers = _in_words(relay_acts, owner)
programs = _in_words(program_acts, program)
routing_rules = _in_words(routing_acts, routing)
rules = SimpleNamespace(
    create=lambda owner, values, *, actor: rule_acts.create(owner, actor=actor, **rule(values)),
    update=lambda owner, pk, values, *, actor: rule_acts.change(owner, pk, actor=actor, **rule(values)),
    delete=rule_acts.delete,
)
virtual_mtas = SimpleNamespace(
    choose_default=lambda values, *, actor: virtual_mta_acts.choose_default(
        virtual_mta=reference(values["virtual_mta"]), actor=actor
    )
)
