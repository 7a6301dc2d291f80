"""`manage.py create_ip_address IPV4 HOSTNAME`: create an IP address, optionally in an organization's pool.

It lives here, not in ippools, because pools of organizations are this application's.
"""

from argparse import ArgumentParser
from typing import Any

from django.core.management import CommandError
from django.db import transaction

from core.commands import ActCommand
from core.names import fold
from core.texts import clean_name
from ippools.addresses import NewAddress, create_one
from ippools.models import IPPool
from servers.models import Organization
from servers.pools import add_members, create_pool, pools_of
from servers.provisioning import find_organization

# What an address is made of, as options call it.
GIVEN = ("ipv4", "hostname", "ipv6", "public_ipv4", "public_ipv6", "priority")


class Command(ActCommand):
    help = "Create an IP address, and add it to a pool if one is given. A pool that does not exist is created."

    def add_act_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("ipv4")
        parser.add_argument("hostname", help="The HELO name.")
        parser.add_argument("--ipv6", default=None)
        parser.add_argument("--public-ipv4", help="The address that receivers see instead of IPV4, behind NAT.")
        parser.add_argument("--public-ipv6", help="The address that receivers see instead of the IPv6 address.")
        parser.add_argument("--priority", type=int, default=100, help="The weight in its pools, 0 to 100.")
        parser.add_argument("--organization", default="", help="The permalink of the organization that owns the pool.")
        parser.add_argument("--pool", default="", help="The name of the pool.")

    @transaction.atomic
    def act(self, *, organization: str, pool: str, **options: Any) -> dict[str, Any]:
        if bool(organization) != bool(pool):
            raise CommandError("--organization and --pool must be given together.")
        owner = find_organization(organization) if organization else None
        address = create_one(
            NewAddress(**{name: options[name] for name in GIVEN}),
            actor=self.actor,
            organization_id=owner.pk if owner else None,
        )
        if owner is not None:
            add_members(
                pool=self.pool_of(owner, pool), addresses=[address], actor=self.actor, organization_id=owner.pk
            )  # fmt: skip
        return {
            "id": address.pk,
            "ipv4": address.ipv4,
            "ipv6": address.ipv6,
            "hostname": address.hostname,
            "priority": address.priority,
        }

    def describe(self, outcome: dict[str, Any]) -> str:
        return f"The IP address {outcome['ipv4']} ({outcome['hostname']}) has the id {outcome['id']}"

    def pool_of(self, organization: Organization, name: str) -> IPPool:
        """Return the organization's pool of this name, its own before one it was granted; made where there is none."""
        name = clean_name(name, field="pool")
        named = list(pools_of(organization).filter(name_key=fold(name)))
        named.sort(key=lambda pool: pool.namespace != organization.uuid)
        return named[0] if named else create_pool(organization=organization, name=name, ips=[], actor=self.actor).pool
