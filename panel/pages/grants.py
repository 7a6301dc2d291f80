"""Grants of the platform's pools to organizations."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from panel.filters import RecordFilter
from panel.forms.base import ActingForm
from panel.pages.base import TenantAdmin
from panel.record_actions import actor_of
from panel.viewer import Viewer
from servers import pools
from servers.models import OrganizationPool


class GrantForm(ActingForm):
    """A grant: an organization, and a pool."""

    def act(self) -> OrganizationPool:
        return pools.grant_pool(
            organization=self.cleaned_data["organization"], pool=self.cleaned_data["pool"], actor=self.actor
        )


@admin.register(OrganizationPool)
class OrganizationPoolAdmin(TenantAdmin):
    """Pools that organizations may use."""

    form = GrantForm
    is_changed = False
    list_display = ["organization", "pool", "created_at"]
    list_display_links = ["organization"]
    list_select_related = ["organization", "pool"]
    list_filter = [("organization", RecordFilter), ("pool", RecordFilter)]
    search_fields = ["organization__name_key", "pool__name_key"]
    search_help_text = "Organization or pool"
    autocomplete_fields = ["organization", "pool"]
    fields = ["organization", "pool"]

    def role_allows(self, viewer: Viewer, verb: str, record: Any | None) -> bool:
        return verb == "view" and super().role_allows(viewer, verb, record)

    def delete_act(self, request: HttpRequest, record: Any) -> None:
        pools.withdraw_pool(organization=record.organization, pool=record.pool, actor=actor_of(request))

    def consequences(self, record: Any) -> list[str]:
        return [f"{record.organization} can no longer choose the pool {record.pool}."]
