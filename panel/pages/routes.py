"""Routes: where a server's incoming mail goes."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from core.errors import Conflict
from panel.filters import RecordFilter
from panel.pages.server_children import ServerChildAdmin, ServerChildForm
from panel.record_actions import actor_of
from servers import routes
from servers.models import Domain, Route


class RouteForm(ServerChildForm):
    """A route's own fields."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "domain" in self.fields:
            self.fields["domain"].help_text = "Leave empty to use the platform's route domain."
            if not self.is_new:
                self.limit_choices("domain", Domain.objects.filter(server=self.instance.server_id))

    def act(self) -> Route:
        values = dict(self.cleaned_data)
        if self.is_new:
            return routes.create_route(actor=self.actor, **values)
        return routes.change_route(route=self.instance, actor=self.actor, **values)


@admin.register(Route)
class RouteAdmin(ServerChildAdmin):
    """Routes."""

    form = RouteForm
    list_display = ["name", "domain", "server", "mode", "endpoint"]
    list_filter = [("server", RecordFilter), "mode"]
    list_select_related = ["domain"]
    search_fields = ["name", "domain__name", "endpoint", "uuid", "server__name_key"]
    search_help_text = "Name, domain, endpoint or server"
    autocomplete_fields = ["server", "domain"]
    fields = ["server", "name", "domain", "mode", "endpoint"]
    restorable = ("name", "domain_id", "mode", "endpoint")

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("domain")

    def delete_act(self, request: HttpRequest, record: Any) -> None:
        routes.delete_route(route=record, actor=actor_of(request))

    def restore(self, request: HttpRequest, record: Route, state: dict[str, Any]) -> None:
        domain_id = state.pop("domain_id")
        domain = None
        if domain_id is not None:
            domain = Domain.objects.filter(pk=domain_id, server=record.server_id).first()
            if domain is None:
                raise Conflict("Its former domain no longer exists")
        routes.change_route(route=record, actor=actor_of(request), domain=domain, **state)
