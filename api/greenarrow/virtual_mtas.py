"""VirtualMTAs: addresses, relay servers and routing rules under one roof."""

from typing import Any

from rest_framework.request import Request

from api.greenarrow import schemas, shapes
from api.greenarrow.openapi import USED_BY, Operation, listing
from api.greenarrow.pages import Rows, UsedBy, asked
from api.greenarrow.views import GreenArrowView
from core.errors import NotFound
from ippools import used_by, virtual_mtas
from ippools.models import VirtualMTA

ROOT = "virtual_mta"


class VirtualMTAs(GreenArrowView):
    """GET /virtual_mtas"""

    operations = {"get": listing("virtual_mtas", schemas.VIRTUAL_MTA)}

    def get(self, request: Request) -> dict[str, Any]:
        """List types, ids and names."""
        rows = Rows(VirtualMTA.objects.all(), shapes.virtual_mta_row, columns=("pk", "name", "kind"))
        return asked(request).answer("virtual_mtas", rows)


class DefaultVirtualMTA(GreenArrowView):
    """GET and PUT /virtual_mtas/default"""

    operations = {
        "get": Operation(data={ROOT: schemas.nullable(schemas.VIRTUAL_MTA)}),
        "put": Operation(
            data={ROOT: schemas.nullable(schemas.VIRTUAL_MTA)}, root=ROOT, body=schemas.nullable(schemas.REFERENCE)
        ),
    }

    def get(self, request: Request) -> dict[str, Any]:
        """Show the default, or null."""
        return {ROOT: shapes.virtual_mta(virtual_mtas.default_virtual_mta())}

    def put(self, request: Request) -> dict[str, Any]:
        """Choose another default, or none by null."""
        chosen = virtual_mtas.choose_default({ROOT: self.root(ROOT)}, actor=self.actor)
        return {ROOT: shapes.virtual_mta(chosen)}


class VirtualMTAUsedBy(GreenArrowView):
    """GET /virtual_mtas/{id}/used_by"""

    operations = {"get": USED_BY}

    def get(self, request: Request, virtual_mta_id: int) -> dict[str, Any]:
        """List the records that refer to it."""
        if not VirtualMTA.objects.filter(pk=virtual_mta_id).exists():
            raise NotFound("The VirtualMTA could not be found")
        return asked(request).answer("used_by", UsedBy(used_by.of_virtual_mta(virtual_mta_id)))
