"""VirtualMTAs: addresses, relay servers and routing rules in one list."""

from typing import Any

from rest_framework.request import Request

from api.greenarrow.fields import ByReference
from api.greenarrow.pagination import Rows, UsedBy, page_request
from api.greenarrow.reading import Record
from api.greenarrow.serializers import ReferringSerializer, VirtualMTASerializer, page
from api.greenarrow.views import GreenArrowViewSet, action, found
from ippools import used_by, virtual_mtas
from ippools.models import VirtualMTA


class DefaultSerializer(Record):
    """The body whose root key refers to the default, or is null."""

    virtual_mta = ByReference(allow_null=True)


class VirtualMTAs(GreenArrowViewSet):
    """/virtual_mtas"""

    root = "virtual_mta"
    lookup_url_kwarg, lookup_value_converter = "virtual_mta_id", "record_id"
    bodies = {"choose_default": {root: DefaultSerializer().fields[root]}}
    answers = {
        "list": page("virtual_mtas", VirtualMTASerializer()),
        "default": {root: VirtualMTASerializer(allow_null=True)},
        "choose_default": {root: VirtualMTASerializer(allow_null=True)},
        "used_by": page("used_by", ReferringSerializer()),
    }

    def list(self, request: Request) -> dict[str, Any]:
        """List types, ids and names."""
        rows = Rows(VirtualMTA.objects.all(), {"type": "kind", "id": "pk", "name": "name"}, are_all=True)
        return page_request(request).answer("virtual_mtas", rows)

    @action(detail=False)
    def default(self, request: Request) -> dict[str, Any]:
        """Show the default, or null."""
        return self.enveloped(virtual_mtas.default_virtual_mta())

    @default.mapping.put
    def choose_default(self, request: Request) -> dict[str, Any]:
        """Choose another default, or none by null."""
        given = DefaultSerializer().read({self.root: self.body_root(self.root)})
        return self.enveloped(virtual_mtas.choose_default(actor=self.actor, **given))

    @action(detail=True)
    def used_by(self, request: Request, virtual_mta_id: int) -> dict[str, Any]:
        """List the records that refer to it."""
        found(VirtualMTA.objects.all(), virtual_mta_id)
        return page_request(request).answer("used_by", UsedBy(used_by.of_virtual_mta(virtual_mta_id)))
