"""Relay servers."""

from typing import Any

from rest_framework.request import Request

from api.greenarrow import schemas, shapes
from api.greenarrow.openapi import Operation, listing
from api.greenarrow.pages import Rows, asked
from api.greenarrow.views import GreenArrowView
from core.errors import NotFound
from ippools import relay_servers
from ippools.models import RelayServer

ROOT = "relay_server"


def _relay(relay_id: int) -> RelayServer:
    relay = RelayServer.objects.select_related("redirect").filter(pk=relay_id).first()
    if relay is None:
        raise NotFound("The relay server could not be found")
    return relay


class RelayServers(GreenArrowView):
    """GET and POST /relay_servers"""

    operations = {
        "get": listing("relay_servers", schemas.LIST_ROW),
        "post": Operation(data={ROOT: schemas.RELAY_SERVER}, root=ROOT, body=schemas.RELAY_SERVER_NEW),
    }

    def get(self, request: Request) -> dict[str, Any]:
        """List ids and names."""
        return asked(request).answer("relay_servers", Rows(RelayServer.objects.all(), shapes.list_row))

    def post(self, request: Request) -> dict[str, Any]:
        """Make a relay server."""
        relay = relay_servers.create(self.payload(ROOT), actor=self.actor)
        return {ROOT: shapes.relay_server(_relay(relay.pk))}


class SingleRelayServer(GreenArrowView):
    """GET, PUT and DELETE /relay_servers/{id}"""

    operations = {
        "get": Operation(data={ROOT: schemas.RELAY_SERVER}),
        "put": Operation(data={ROOT: schemas.RELAY_SERVER}, root=ROOT, body=schemas.RELAY_SERVER_CHANGE),
        "delete": Operation(data={}),
    }

    def get(self, request: Request, relay_id: int) -> dict[str, Any]:
        """Show a relay server, without its password."""
        return {ROOT: shapes.relay_server(_relay(relay_id))}

    def put(self, request: Request, relay_id: int) -> dict[str, Any]:
        """Change what is given."""
        relay_servers.update(relay_id, self.payload(ROOT), actor=self.actor)
        return {ROOT: shapes.relay_server(_relay(relay_id))}

    def delete(self, request: Request, relay_id: int) -> dict[str, Any]:
        """Delete a relay server that nothing refers to."""
        relay_servers.delete(relay_id, actor=self.actor)
        return {}
