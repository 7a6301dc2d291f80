"""The URL configuration: the panel and both API dialects. Probes are answered before it (config.health)."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularSwaggerSplitView

from api.document import schema
from config.well_known import key_set
from panel.confirm_alerts import confirm_alerts
from panel.stop_reports import stop_reports

handler400 = "api.fallbacks.handler400"
handler403 = "api.fallbacks.handler403"
handler404 = "api.fallbacks.handler404"
handler500 = "api.fallbacks.handler500"

admin.autodiscover()

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin", RedirectView.as_view(pattern_name="admin:index", query_string=True)),
    path("admin/", admin.site.urls),
    path("api/v1/", include("api.postal.urls")),
    path("api/node/v1/", include("api.nodes.urls")),
    path("api/schema/", schema, name="schema"),
    path("api/docs/", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="api-docs"),
    path("reports/stop/<str:token>", stop_reports, name="stop-reports"),
    path("alerts/confirm/<str:token>", confirm_alerts, name="confirm-alerts"),
    path(".well-known/jwks.json", key_set, name="jwks"),
    path("ga/api/v3/eng/", include("api.greenarrow.urls")),
]
