"""Views that do nothing but misbehave, to see what the shared base makes of it."""

from django.urls import path
from rest_framework.request import Request

from api import bodies
from api.postal.renderers import ip_pools_renderer, renderer
from api.renderers import Answer
from api.views import DialectView

handler400 = "api.fallbacks.handler400"
handler403 = "api.fallbacks.handler403"
handler404 = "api.fallbacks.handler404"
handler500 = "api.fallbacks.handler500"

# What the next request to /api/probe raises.
RAISED: list[BaseException] = []


class Probe(DialectView):
    renderer = renderer

    def get(self, request: Request) -> object:
        if RAISED:
            raise RAISED.pop()
        return {"plain": True}

    def post(self, request: Request) -> object:
        raw = self.body()
        return Answer({"size": len(raw), "json": bodies.parse_json(raw) if raw else None}, flags={"seen": True})

    def put(self, request: Request) -> object:
        return {"not": {"json", "at", "all"}}


class PoolsProbe(Probe):
    renderer = ip_pools_renderer


urlpatterns = [
    path("api/probe", Probe.as_view()),
    path("api/pools", PoolsProbe.as_view()),
]
