"""Records that refer to a template or a program: listed by `used_by`, and a reason to refuse deletion."""

from dataclasses import dataclass

from django.db.models import Model, QuerySet

from core.errors import Dependency, InUse
from throttling.models import RuleSet, ThrottleProgram, ThrottlingTemplate

# An answer names that many dependencies; `used_by` pages through all.
NAMED = 100


@dataclass(frozen=True, slots=True)
class References:
    """Records of one kind that refer to another record; each has a `name`."""

    type: str
    rows: QuerySet[Model]


def of_template(template: ThrottlingTemplate) -> list[References]:
    """The addresses that inherit from the template."""
    return [References("ip_address", template.ip_addresses.all())]


def of_program(program: ThrottleProgram) -> list[References]:
    """The addresses and templates with a rule that uses the program."""
    sets = RuleSet.objects.filter(rules__throttle_program=program).values("pk")
    # Addresses are an outer app's: they are reached by the relation alone.
    addresses = RuleSet._meta.get_field("ip_address").related_model
    return [
        References("ip_address", addresses._default_manager.filter(rules__in=sets)),
        References("throttling_template", ThrottlingTemplate.objects.filter(rules__in=sets)),
    ]


def refuse_if_used(references: list[References]) -> None:
    """Raise InUse with the first hundred records, if there are any."""
    dependencies = [
        Dependency(each.type, pk, name)
        for each in references
        for pk, name in each.rows.order_by("pk").values_list("pk", "name")[:NAMED]
    ]
    if dependencies:
        raise InUse(*dependencies[:NAMED])
