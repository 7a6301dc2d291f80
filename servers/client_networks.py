"""Whose the clients of a network are: SMTP-IP credentials need no key, so a network is all that says who sends.

A node takes mail of a client for the server with the narrowest network. Whoever could have one within another customer's, or
around all that have none, would get mail that is not theirs: only the platform, which knows its customers, may decide that.
"""

import ipaddress

from core.errors import Fault, Invalid
from core.locks import advisory
from servers.models import Credential

# The shortest prefixes of public networks that people of an organization may have, by IP version.
SHORTEST = {4: 16, 6: 32}

type Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def refuse_foreign(network: Network, *, organization_id: int) -> None:
    """Raise Invalid where the clients of this network are not the organization's to claim; in the caller's transaction.

    Held credentials count: they may be released. Those of deleted servers do not.
    """
    if network.prefixlen < SHORTEST[network.version] and not network.is_private:
        raise Invalid(Fault("network", f"must not be larger than /{SHORTEST[network.version]}: ask the platform"))
    # Of two organizations that claim it at once, one has it.
    advisory("servers.client_networks")
    of_others = Credential.objects.filter(kind=Credential.Kind.SMTP_IP, server__deleted_at=None)
    of_others = of_others.exclude(server__organization_id=organization_id)
    for text in of_others.values_list("network", flat=True):
        other = ipaddress.ip_network(text)
        if other.version == network.version and other.overlaps(network):
            raise Invalid(Fault("network", "has addresses that are in use by another organization: ask the platform"))
