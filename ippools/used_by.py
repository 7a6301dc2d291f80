"""Records that refer to a VirtualMTA: listed by `used_by`, and a reason to refuse its deletion."""

from core.errors import Conflict
from ippools.models import IPPool, RoutingRule, VirtualMTA
from throttling.used_by import References, refuse_if_used


def of_virtual_mta(pk: int) -> list[References]:
    """The VirtualMTAs that redirect to it, the routing rules that deliver through it, and the pools that it is in."""
    redirecting = VirtualMTA.objects.filter(redirect=pk)
    return [
        References("ip_address", redirecting.filter(kind=VirtualMTA.Kind.IP_ADDRESS)),
        References("relay_server", redirecting.filter(kind=VirtualMTA.Kind.RELAY_SERVER)),
        References("routing_rule", RoutingRule.objects.filter(targets__virtual_mta=pk).distinct()),
        References("ip_pool", IPPool.objects.filter(members__ip_address=pk)),
    ]


def refuse_deletion(virtual_mta: VirtualMTA) -> None:
    """Raise InUse with the records that refer to it, and Conflict for the default one."""
    refuse_if_used(of_virtual_mta(virtual_mta.pk))
    if virtual_mta.is_default:
        raise Conflict("The default VirtualMTA cannot be deleted; choose another one first")
