"""Organizations can demand a second factor of their people: who lacks one does nothing in the panel but set it up."""

from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from core.compiled import Compiled
from core.models import User
from core.second_factor import confirmed_apps
from servers.models import Membership, Organization


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether the user has a second factor, and whether an organization of theirs demands one."""

    is_set_up: bool
    is_required: bool


def standing_of(user: User) -> Standing:
    """Return the user's standing, by one query. A suspended organization demands it, too."""
    row = _STANDING.first(user.pk)
    return Standing(*row) if row is not None else Standing(is_set_up=False, is_required=False)


def demanding(user: User) -> QuerySet[Organization]:
    """Return the organizations of the user that demand a second factor."""
    return Organization.objects.filter(requires_second_factor=True, memberships__user=user)


def people_without(organization: Organization) -> QuerySet[Membership]:
    """Return the members who have no second factor."""
    return Membership.objects.filter(~Q(Exists(_apps("user_id"))), organization=organization)


def number_of_people(organization: Organization) -> tuple[int, int]:
    """Return how many members there are, and how many of them have no second factor, by one query."""
    lacking = Count("pk", filter=~Q(Exists(_apps("user_id"))))
    found = Membership.objects.filter(organization=organization).aggregate(all=Count("pk"), lacking=lacking)
    return found["all"], found["lacking"]


def _apps(user: str = "pk") -> QuerySet[Any]:
    return confirmed_apps().filter(user=OuterRef(user))


def _standings(user_id: int) -> QuerySet[Any, tuple[Any, ...]]:
    demands = Membership.objects.filter(user=OuterRef("pk"), organization__requires_second_factor=True)
    found = User.objects.filter(pk=user_id).annotate(has=Exists(_apps()), must=Exists(demands))
    return found.values_list("has", "must")


# Every page asks.
_STANDING = Compiled((int,), _standings)
