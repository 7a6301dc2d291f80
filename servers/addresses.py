"""Changing an address, with what follows for domains. (Making and deleting one: ippools/ip_addresses.py.)"""

from collections.abc import Mapping
from typing import Any

from core.audit import Actor
from core.races import atomic_act
from ippools import ip_addresses
from ippools.addresses import lock_addresses
from ippools.models import IPAddress
from servers.due_domains import recheck_domains_by_address

# What SPF records are evaluated against: the addresses, and the name of HELO, which their macros may ask for.
SEEN_BY_SPF = ("ipv4", "ipv6", "hostname")


@atomic_act
def change_address(
    address_id: int, values: Mapping[str, Any], *, actor: Actor, replaces_rules: bool = False
) -> IPAddress:
    """Change the address as `ippools.ip_addresses.update` does, and let the domains that send by it be checked soon."""
    if not set(SEEN_BY_SPF) & set(values):
        return ip_addresses.update(address_id, values, actor=actor, replaces_rules=replaces_rules)
    lock_addresses()
    before = IPAddress.objects.filter(pk=address_id).values_list(*SEEN_BY_SPF).first()
    address = ip_addresses.update(address_id, values, actor=actor, replaces_rules=replaces_rules)
    if before != tuple(getattr(address, name) for name in SEEN_BY_SPF):
        recheck_domains_by_address(address)
    return address
