"""The page of refused events: by reporter and reason, since when, with a sample."""

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path
from django.utils import timezone
from django.utils.http import urlencode

from core.references import whole_id
from panel.site_mixin import SiteMixin
from panel.viewer import viewer_of
from servers.access import servers_of
from servers.models import Server
from stats.intake import refusals, source_counts

DAYS = (2, 7, refusals.DAYS_KEPT)
SHOWN = 200


class Refusals(SiteMixin):
    """Mixin of the admin site: refused events."""

    def get_urls(self) -> list[URLResolver | URLPattern]:
        return [path("refused/", self.admin_view(self.refused), name="refused"), *super().get_urls()]

    def refused(self, request: HttpRequest) -> HttpResponse:
        """Show the refused events of `?server=` (an id), or of all reporters that the user can view."""
        page = self._registry.get(Server)
        if page is None or not page.has_view_permission(request):
            raise PermissionDenied
        now, viewer = timezone.now(), viewer_of(request)
        days = next((each for each in DAYS if str(each) == request.GET.get("days")), DAYS[1])
        server = None
        if asked := whole_id(request.GET.get("server", "")):
            server = servers_of(viewer.user).filter(pk=asked).first()
        ids: list[int] | None = None
        if server is not None:
            ids = [server.pk]
        elif not viewer.is_platform:
            ids = list(servers_of(viewer.user).values_list("pk", flat=True))
        found, more = refusals.lines(ids, now, days=days, most=SHOWN)
        kept = {} if server is None else {"server": server.pk}
        context = {
            **self.each_context(request),
            "title": "Refused events" if server is None else f"Refused events of {server.name}",
            "lines": found,
            "more": more,
            "days": days,
            "choices": [(each, f"?{urlencode({**kept, 'days': each})}") for each in DAYS],
            "server": server,
            # Sources are the platform's.
            "sources": source_counts.refusing(now, days=days) if viewer.is_platform and server is None else [],
        }
        request.current_app = self.name
        return TemplateResponse(request, "panel/refused.html", context)
