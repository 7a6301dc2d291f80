"""What Postal's endpoints are measured against: an empty view, and the same lists by nested DRF serializers."""

from typing import Any

from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from rest_framework import generics, serializers

from api.postal.views import PostalViewSet, reads
from ippools.models import IPAddress, IPPool
from servers.models import Server
from stats.reports import queries


def empty(request: HttpRequest) -> HttpResponse:
    """The least that Django can do, behind the same middleware."""
    return HttpResponse(b"{}", content_type="application/json")


class Authenticated(PostalViewSet):
    """The least that an endpoint of the dialect can do: its one query finds whose key it is."""

    tag = "Benchmark"

    @reads("/", answers={})
    def list(self, caller: Any, given: dict[str, Any]) -> object:
        return {}


class AddressSerializer(serializers.ModelSerializer):
    messages_sent = serializers.SerializerMethodField()

    class Meta:
        model = IPAddress
        fields = ("id", "ipv4", "ipv6", "hostname", "priority", "messages_sent")

    def get_messages_sent(self, address: IPAddress) -> int:
        return self.context["sent"][address.pk]


class PoolSerializer(serializers.ModelSerializer):
    ip_addresses = AddressSerializer(many=True, source="addresses")
    stats = serializers.SerializerMethodField()
    default = serializers.BooleanField(source="is_default")

    class Meta:
        model = IPPool
        fields = ("id", "uuid", "name", "default", "created_at", "ip_addresses", "stats")

    def get_stats(self, pool: IPPool) -> dict[str, object]:
        sent = [self.context["sent"][address.pk] for address in pool.addresses.all()]
        total = sum(sent)
        average = round(total / len(sent), 2) if sent else 0.0
        return {"total_messages_sent": total, "ip_count": len(sent), "average_per_ip": average}


class NestedPools(generics.ListAPIView):
    """As a careful DRF project would write it: prefetched, one query for the counts, no envelope, no key."""

    serializer_class = PoolSerializer

    def get_queryset(self) -> Any:
        return IPPool.objects.prefetch_related("addresses").order_by("pk")

    def get_serializer_context(self) -> dict[str, Any]:
        from django.utils import timezone

        ids = IPAddress.objects.values_list("pk", flat=True)
        return super().get_serializer_context() | {"sent": queries.sent_by_address(ids, None, timezone.now())}


class ServerSerializer(serializers.ModelSerializer):
    domains_count = serializers.IntegerField()
    credentials_count = serializers.IntegerField()
    webhooks_count = serializers.IntegerField()
    routes_count = serializers.IntegerField()

    class Meta:
        model = Server
        fields = (
            "uuid", "name", "permalink", "mode", "suspended_at", "privacy_mode", "ip_pool_id", "created_at", "updated_at",
            "domains_count", "credentials_count", "webhooks_count", "routes_count",
        )  # fmt: skip


class SerializedServers(generics.ListAPIView):
    """The list of servers by a serializer, the counts annotated as Django's documentation has it."""

    serializer_class = ServerSerializer

    def get_queryset(self) -> Any:
        counts = {
            f"{name}_count": Count(name, distinct=True) for name in ("domains", "credentials", "webhooks", "routes")
        }
        return Server.objects.living().annotate(**counts)


urlpatterns = [
    path("api/v1/", include("api.postal.urls")),
    path("rivals/empty", empty),
    path("api/v1/authenticated", Authenticated.as_view({"get": "list"})),
    path("rivals/pools", NestedPools.as_view()),
    path("rivals/servers", SerializedServers.as_view()),
]
