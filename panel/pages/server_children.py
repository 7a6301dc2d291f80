"""Base classes for the pages of credentials, domains, routes and webhooks, which belong to a server."""

from typing import Any

from django.http import HttpRequest

from panel.forms.base import ActingForm
from panel.pages.base import TenantAdmin
from servers.access import organizations_changed_by
from servers.models import Server


class ServerChildForm(ActingForm):
    """A form whose server must be one that the user can change and that is not deleted."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        organizations = organizations_changed_by(self.request.user)
        living = Server.objects.living().filter(organization__in=organizations)
        self.limit_choices("server", living.select_related("organization"))


class ServerChildAdmin(TenantAdmin):
    """The page of a record that belongs to a server."""

    organization_path = "server__organization"
    autocomplete_fields = ["server"]

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("server__organization")

    def get_readonly_fields(self, request: HttpRequest, obj: Any | None = None) -> list[str]:
        return [*self.readonly_fields, *([] if obj is None else ["server"])]
