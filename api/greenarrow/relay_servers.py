"""Relay servers."""

from django.db.models import QuerySet

from api.greenarrow.serializers import NewRelayServerSerializer, RelayServerSerializer
from api.greenarrow.views import RecordViewSet
from ippools import relay_servers
from ippools.models import RelayServer


class RelayServers(RecordViewSet):
    """/relay_servers"""

    root, plural, noun = "relay_server", "relay_servers", "relay server"
    lookup_url_kwarg = "relay_id"
    model = RelayServer
    acts = relay_servers
    shown = RelayServerSerializer
    new = changed = NewRelayServerSerializer

    def records(self) -> QuerySet[RelayServer]:
        """Return the relay servers with their redirects."""
        return RelayServer.objects.select_related("redirect")
