"""The user of a page and their permissions. Visible records are defined by `servers.access`."""

from dataclasses import dataclass, field
from typing import Any

from django.http import HttpRequest

from core.audit import Actor
from core.models import User
from servers.access import CHANGING_ROLES, sees_platform
from servers.models import Membership

_ATTRIBUTE = "_sluice_viewer"


@dataclass(frozen=True, slots=True)
class Viewer:
    """The signed-in user: one of the platform's staff, or a member of organizations."""

    user: User
    is_platform: bool
    # By organization id; empty for the platform's staff, whose Django permissions count.
    roles: dict[int, str] = field(default_factory=dict)

    @property
    def actor(self) -> Actor:
        return Actor.of_user(self.user)

    @property
    def counts_as(self) -> str | int:
        """Whose share of a common bound this person uses: that of their one organization (its id), or a share of their own.

        Whoever is added to another organization too does not share with it.
        """
        return next(iter(self.roles)) if len(self.roles) == 1 else f"user {self.user.pk}"

    def sees(self, organization_id: int | None) -> bool:
        return self.is_platform or organization_id in self.roles

    def changes(self, organization_id: int | None) -> bool:
        """Whether the user can change this organization's records (None: the platform's)."""
        return self.is_platform or (organization_id is not None and self.roles.get(organization_id) in CHANGING_ROLES)

    def owns(self, organization_id: int | None) -> bool:
        """Whether the user can change this organization's memberships."""
        is_owner = organization_id is not None and self.roles.get(organization_id) == Membership.Role.OWNER
        return self.is_platform or is_owner

    @property
    def changes_any(self) -> bool:
        return self.is_platform or any(role in CHANGING_ROLES for role in self.roles.values())

    @property
    def owns_any(self) -> bool:
        return self.is_platform or Membership.Role.OWNER in self.roles.values()


def viewer_of(request: HttpRequest) -> Viewer:
    """Return the viewer of this request, with one query per request."""
    viewer = getattr(request, _ATTRIBUTE, None)
    # A page asks a hundred times.
    if viewer is None or (viewer.user is not request.user and viewer.user.pk != request.user.pk):
        viewer = _viewer(request.user)
        setattr(request, _ATTRIBUTE, viewer)
    return viewer


def _viewer(user: Any) -> Viewer:
    if sees_platform(user):
        return Viewer(user, is_platform=True)
    if not user.is_active or not user.is_staff:
        return Viewer(user, is_platform=False)
    roles = Membership.objects.filter(user_id=user.pk).values_list("organization_id", "role")
    return Viewer(user, is_platform=False, roles=dict(roles))
