"""IP addresses: GreenArrow's page on them is the contract."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.db.models import QuerySet
from rest_framework.request import Request

from api.greenarrow import schemas, shapes
from api.greenarrow.openapi import Operation, listing
from api.greenarrow.pages import Rows, asked
from api.greenarrow.views import GreenArrowView
from core.attributes import is_storable
from core.errors import Fault, Invalid, NotFound
from core.names import fold
from ippools import ip_addresses
from ippools.addresses import is_ipv4
from ippools.models import IPAddress
from servers.addresses import change_address

ROOT = "ip_address"
# What a payload may hold; the rest is read-only or unknown, and ignored.
ATTRIBUTES = frozenset(
    {"name", "ip", "hostname", "redirect", "throttling_template", "rules", "rules_new", "default", "delivery_paused"}
)
# GreenArrow knows one kind of address.
OUR_WORD, THEIR_WORD = "ipv4", "ip"
FILTERS = ("name", "ip", "hostname")


def address_with_parts(address_id: int) -> IPAddress:
    """Return the address joined with all that its shape needs besides its rules; raises NotFound."""
    address = IPAddress.objects.select_related("redirect", "template__rules", "rules").filter(pk=address_id).first()
    if address is None:
        raise NotFound("The IP address could not be found")
    return address


class IPAddresses(GreenArrowView):
    """GET and POST /ip_addresses"""

    operations = {
        "get": listing("ip_addresses", schemas.LIST_ROW, *FILTERS),
        "post": Operation(data={ROOT: schemas.IP_ADDRESS}, root=ROOT, body=schemas.IP_ADDRESS_NEW),
    }

    def get(self, request: Request) -> dict[str, Any]:
        """List ids and names, with filters that know no case."""
        page = asked(request, filters=FILTERS)
        return page.answer("ip_addresses", Rows(_filtered(page.filters), shapes.list_row))

    def post(self, request: Request) -> dict[str, Any]:
        """Make an address."""
        values = _values(self.payload(ROOT))
        with _in_their_words():
            address = ip_addresses.create(values, actor=self.actor)
        return {ROOT: shapes.ip_address(address_with_parts(address.pk))}


class SingleIPAddress(GreenArrowView):
    """GET, PUT and DELETE /ip_addresses/{id}"""

    operations = {
        "get": Operation(data={ROOT: schemas.IP_ADDRESS}),
        "put": Operation(data={ROOT: schemas.IP_ADDRESS}, root=ROOT, body=schemas.IP_ADDRESS_CHANGE),
        "delete": Operation(data={}),
    }

    def get(self, request: Request, address_id: int) -> dict[str, Any]:
        """Show an address."""
        return {ROOT: shapes.ip_address(address_with_parts(address_id))}

    def put(self, request: Request, address_id: int) -> dict[str, Any]:
        """Change what is given."""
        values = _values(self.payload(ROOT))
        with _in_their_words():
            change_address(address_id, values, actor=self.actor)
        return {ROOT: shapes.ip_address(address_with_parts(address_id))}

    def delete(self, request: Request, address_id: int) -> dict[str, Any]:
        """Delete an address that nothing refers to."""
        ip_addresses.delete(address_id, actor=self.actor)
        return {}


def _values(given: Mapping[str, Any]) -> dict[str, Any]:
    return {OUR_WORD if name == THEIR_WORD else name: given[name] for name in given if name in ATTRIBUTES}


@contextmanager
def _in_their_words() -> Iterator[None]:
    """Let faults name the field as the caller wrote it."""
    try:
        yield
    except Invalid as refusal:
        raise Invalid(
            *(Fault(THEIR_WORD if fault.path == OUR_WORD else fault.path, fault.message) for fault in refusal.faults)
        ) from None


def _filtered(filters: Mapping[str, str]) -> QuerySet[IPAddress]:
    rows = IPAddress.objects.all()
    for name, text in filters.items():
        if not is_storable(text) or (name == "ip" and not is_ipv4(text)):
            return rows.none()
        match name:
            case "name":
                rows = rows.filter(name_key=fold(text))
            case "ip":
                rows = rows.filter(ipv4=text)
            case "hostname":
                rows = rows.filter(hostname_key=fold(text))
    return rows
