"""Relay servers."""

from api.greenarrow.serializers import NewRelayServerSerializer, RelayServerSerializer
from api.greenarrow.views import RecordViewSet
from ippools import relay_servers
from ippools.models import RelayServer


class RelayServers(RecordViewSet):
    """/relay_servers"""

    root, plural = "relay_server", "relay_servers"
    lookup_url_kwarg = "relay_id"
    queryset = RelayServer.objects.select_related("redirect")
    acts = relay_servers
    shown = RelayServerSerializer
    new = changed = NewRelayServerSerializer
