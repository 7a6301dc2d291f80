from ippools.models.address import IPAddress
from ippools.models.blocklist import Blocklist, Listing
from ippools.models.cap import AddressCap
from ippools.models.drain import AddressDrain
from ippools.models.former_name import FormerAddressName
from ippools.models.identity import AddressIdentity
from ippools.models.pool import IPPool, IPPoolMember
from ippools.models.relay_server import RelayServer
from ippools.models.routing_rule import DeliveryTarget, DomainOverride, OverrideDomain, RoutingRule
from ippools.models.virtual_mta import VirtualMTA
from ippools.models.warm_up import WarmUp, WarmUpDay

__all__ = [
    "AddressCap",
    "AddressDrain",
    "AddressIdentity",
    "Blocklist",
    "DeliveryTarget",
    "DomainOverride",
    "FormerAddressName",
    "IPAddress",
    "IPPool",
    "IPPoolMember",
    "Listing",
    "OverrideDomain",
    "RelayServer",
    "RoutingRule",
    "VirtualMTA",
    "WarmUp",
    "WarmUpDay",
]
