"""The order of an owner's pool rules: shown on each rule's page, and changed one step at a time."""

from collections.abc import Iterable
from typing import Any

from django.db.models import Q

from core.audit import Actor
from core.errors import Conflict
from servers import pool_rules
from servers.models import IPPoolRule

# Of an owner with more rules those around the page's own are shown.
AROUND = 15
STEPS = {"first": "to the first place", "up": "one place up", "down": "one place down", "last": "to the last place"}


def places_of(rules: Iterable[IPPoolRule]) -> dict[int, int]:
    """Return the position of each rule among its owner's, 1 for the first. One query."""
    owners = {(rule.server_id, rule.organization_id) for rule in rules}
    servers, organizations = ([each[side] for each in owners if each[side] is not None] for side in (0, 1))
    theirs = IPPoolRule.objects.filter(Q(server__in=servers) | Q(organization__in=organizations))
    places: dict[int, int] = {}
    seen: dict[tuple[int | None, int | None], int] = {}
    for pk, *owner in theirs.order_by("position", "pk").values_list("pk", "server_id", "organization_id"):
        key = (owner[0], owner[1])
        places[pk] = seen[key] = seen.get(key, 0) + 1
    return places


def around(rule: IPPoolRule) -> dict[str, Any]:
    """Return the context of `panel/pool_rule/order.html`. Two queries."""
    ids = _ids(rule)
    here = ids.index(rule.pk)
    first = max(0, here - AROUND)
    shown = ids[first : here + AROUND + 1]
    found = IPPoolRule.objects.select_related("pool").in_bulk(shown)
    return {
        "rule": rule,
        "rules": [(place, found[pk]) for place, pk in enumerate(shown, start=first + 1) if pk in found],
        "rule_total": len(ids),
        "hidden_before": first,
        "hidden_after": len(ids) - first - len(shown),
    }


def move(*, rule: IPPoolRule, step: str, actor: Actor) -> None:
    """Move the rule by a step of STEPS; one that is there already stays. Raises Conflict where the rules changed meanwhile."""
    ids = _ids(rule)
    if rule.pk not in ids:
        raise Conflict("The rule no longer exists")
    here = ids.index(rule.pk)
    there = {"first": 0, "up": max(0, here - 1), "down": here + 1, "last": len(ids)}[step]
    ids.insert(there, ids.pop(here))
    owner = rule.server or rule.organization
    assert owner is not None, "the database holds that a rule has an owner"
    pool_rules.order_rules(owner=owner, ids=ids, actor=actor)


def _ids(rule: IPPoolRule) -> list[int]:
    owner = {"server_id": rule.server_id, "organization_id": rule.organization_id}
    return list(IPPoolRule.objects.filter(**owner).order_by("position", "pk").values_list("pk", flat=True))
