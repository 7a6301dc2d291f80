"""A DNSBL that answers everything, and a resolver that is down, on a pool that may drain."""

from collections.abc import Mapping
from typing import Any

import time_machine
from django.test import override_settings

from dnschecks.dnsbl import LISTED, question
from dnschecks.resolver import Resolver
from ippools import blocklists, drains, identity
from ippools.models import AddressDrain, AddressIdentity, Blocklist, IPAddress, Listing
from nodes import healing
from tests.cast import SYSTEM, make_tenant
from tests.dns_server import SERVFAIL, LocalDNS
from tests.lab.panel import clock, moment
from tests.lab.receivers import HOUR
from tests.lab.story import Story
from throttling.drain import Effect, Mode

ADDRESSES = [f"192.0.2.{number}" for number in range(1, 9)]
ZONE = "bl.example"
TEST_ENTRY = f"2.0.0.127.{ZONE}. 60 IN A 127.0.0.2\n"
EVERYTHING = f"*.{ZONE}. 60 IN A 127.0.0.2\n"
STEP = 30 * 60
# A sweep ends when nothing is due any more; so long at the most, in seconds.
SWEPT_WITHIN = 20


def run(given: Mapping[str, Any], *, seed: int, days: int | None) -> Story:
    """Run the scenario for its hours, or for `days`: a third well, a third with the dead zone, a third without a resolver.

    There are no dice in it; the seed changes nothing.
    """
    third = int(given["hours"] if days is None else days * 24) * HOUR // 3
    story = Story()
    tenant = make_tenant("Acme", *ADDRESSES)
    assert tenant.pool is not None
    drains.configure(tenant.pool.pk, mode=Mode.ACT, share=30, actor=SYSTEM)
    blocklists.create(name=ZONE, ranges="127.0.0.2-127.0.0.11", actor=SYSTEM)
    identities = "".join(_identity(address) for address in tenant.addresses)
    most = 0
    with LocalDNS(identities + TEST_ENTRY) as dns, override_settings(SLUICE_DNS_SERVERS=[dns.address]):
        most = max(most, _look(0, third, story, "the zone is well"))
        dns.replace(identities + EVERYTHING)
        resolver = Resolver([dns.address])
        believed = sum(bool(resolver.ask(question(ipv4, ZONE), "A").records) for ipv4 in ADDRESSES)
        # Its test entries were right a moment ago: only the questions about addresses find out.
        with time_machine.travel(moment(third)):
            blocklists.check_due_listings(seconds=SWEPT_WITHIN)
        most = max(most, _look(third, 2 * third, story, "the zone answers everything"))
        for name in _names(tenant.addresses):
            dns.fault(name, SERVFAIL)
        most = max(most, _look(2 * third, 3 * third, story, "the resolver is down"))
    story.tell(
        f"without these checks {believed} of {len(ADDRESSES)} addresses were listed, and the pool’s share of them drained"
    )
    story.figures |= {"believed": believed, "drained": most}
    bound = given["bounds"]["drained"]
    story.expect(f"addresses drained: {bound}", most, holds=most <= bound)
    return story


def _look(begin: int, end: int, story: Story, told: str) -> int:
    """Do what the worker does between two times, and return the most addresses that were drained."""
    most = 0
    for at in range(begin, end, STEP):
        with time_machine.travel(moment(at)):
            blocklists.check_due_zones(seconds=SWEPT_WITHIN)
            blocklists.check_due_listings(seconds=SWEPT_WITHIN)
            identity.check_due_addresses(at=moment(at), seconds=SWEPT_WITHIN)
        healing.decide(now=moment(at))
        most = max(most, AddressDrain.objects.open().filter(effect=Effect.DRAINED.value).count())
    zone = Blocklist.objects.get()
    listed = Listing.objects.filter(first_seen_at__isnull=False).count()
    broken = AddressIdentity.objects.filter(broken_since__isnull=False).count()
    story.tell(
        f"{clock(begin)} to {clock(end)}  {told}: zone {zone.zone_status or 'not known'}, {listed} listed, {broken} identities "
        f"broken, {most} drained. {zone.zone_error}".rstrip()
    )
    return most


def _identity(address: IPAddress) -> str:
    pointer = question(address.ipv4, "in-addr.arpa")
    return f"{pointer}. 60 IN PTR {address.hostname}.\n{address.hostname}. 60 IN A {address.ipv4}\n"


def _names(addresses: list[IPAddress]) -> list[str]:
    """Return all names that are asked for."""
    asked = [question(each.ipv4, zone) for each in addresses for zone in (ZONE, "in-addr.arpa")]
    return [*asked, *(each.hostname for each in addresses), question(LISTED[4], ZONE), question("127.0.0.1", ZONE)]
