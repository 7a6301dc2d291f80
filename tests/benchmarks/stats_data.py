"""The data of the statistics' measurements: 2,000 servers (Zipf 0.9), 5,000 addresses in 500 pools, 12,000 domains."""

import datetime
import random
from collections.abc import Iterator
from itertools import accumulate, batched
from typing import Any

from django.db import connection
from django.utils import timezone

from core.audit import Actor
from ippools.addresses import NewAddress, create_many
from ippools.models import IPAddress, IPPool, IPPoolMember
from servers.models import Organization, OrganizationPool, Server
from servers.provisioning import create_organization
from stats.counts import buckets
from stats.intake.ingest import MOST_EVENTS
from stats.kinds import REPLIED
from stats.ledger import partitions, storing
from stats.ledger.keys import event_key
from stats.ledger.row import Row

PERMALINK = "statistics-bench"
SERVERS, ADDRESSES, POOLS, DOMAINS_A_SERVER, SENDERS_A_SERVER = 2_000, 5_000, 500, 6, 20
KINDS = (1, 2, 2, 2, 2, 2, 3, 4, 5, 6)
KIND_WORDS = ("incoming", "sent", "sent", "sent", "sent", "sent", "deferred", "bounced", "held", "spam")
DAY_MS = 86_400_000


class Platform:
    """One organization that has it all, made without the servers' acts: keys and audit entries are not what is measured."""

    def __init__(self, *, servers: int = SERVERS, addresses: int = ADDRESSES, pools: int = POOLS) -> None:
        if not Organization.objects.filter(permalink=PERMALINK).exists():
            _make(servers, addresses, pools)
        self.organization = Organization.objects.get(permalink=PERMALINK)
        self.servers = list(Server.objects.filter(organization=self.organization).order_by("pk"))
        self.addresses = list(IPAddress.objects.filter(ipv4__startswith="10.77.").order_by("pk"))
        self.weights = list(accumulate((rank + 1) ** -0.9 for rank in range(len(self.servers))))

    def rows(self, day: int, number: int, *, seed: int) -> Iterator[Row]:
        """Yield rows as validation makes them, spread over a day, in no order."""
        chance = random.Random(seed)
        servers = [(server.pk, server.uuid.bytes) for server in self.servers]
        addresses = [address.pk for address in self.addresses]
        start = day * DAY_MS
        for first in range(0, number, 10_000):
            size = min(10_000, number - first)
            for index, which in enumerate(chance.choices(range(len(servers)), cum_weights=self.weights, k=size), first):
                pk, server_uuid = servers[which]
                at = start + int(chance.random() * DAY_MS)
                part = int(chance.random() * 1000)
                yield (
                    event_key(
                        at, server_uuid, KINDS[part % len(KINDS)], f"{seed}-{index}", f"reader{index}@example.net"
                    ),
                    at // 60_000,
                    pk,
                    addresses[(which * 7 + part * 13) % len(addresses)],
                    which * DOMAINS_A_SERVER + part % DOMAINS_A_SERVER + 1,
                    which * SENDERS_A_SERVER + part % SENDERS_A_SERVER + 1,
                    part % 12,
                    KINDS[part % len(KINDS)],
                    *_failure(KINDS[part % len(KINDS)], part),
                    part % 4 + 1,
                    0,
                )

    def events(self, day: int, number: int, *, seed: int) -> list[dict[str, Any]]:
        """Return events as a collector sends them: parsed JSON."""
        chance = random.Random(seed)
        names = [str(server.uuid) for server in self.servers]
        addresses = [address.ipv4 for address in self.addresses]
        start = day * 86_400
        return [
            {
                "id": f"{seed}-{index}@mx.example",
                "type": KIND_WORDS[part % len(KIND_WORDS)],
                "at": _iso(start + chance.random() * 86_400),
                "server": names[which],
                "ip": addresses[(which * 7 + part * 13) % len(addresses)],
                "from": f"news{part % SENDERS_A_SERVER}@domain{part % DOMAINS_A_SERVER}.server{which}.example",
                "to": f"reader{index}@{('gmail.com', 'yahoo.fr', 'example.net', 'hotmail.com')[part % 4]}",
            }
            for index, which in enumerate(chance.choices(range(len(names)), cum_weights=self.weights, k=number))
            for part in (int(chance.random() * 1000),)
        ]


def _failure(kind: int, part: int) -> tuple[int, int, int]:
    """Class, power of two of the seconds, and signature."""
    return (part % 16 + 1, part % 12, part % 300 + 1) if kind in REPLIED else (0, part % 12, 0)


def _make(servers: int, addresses_: int, pools_: int) -> None:
    organization = create_organization(at=timezone.now(), name="Statistics", permalink=PERMALINK, actor=Actor.system())
    Server.objects.bulk_create(
        Server(organization=organization, name=f"server {number}", permalink=f"server-{number}")
        for number in range(servers)
    )
    rows = [
        NewAddress(ipv4=f"10.77.{number >> 8}.{number & 255}", hostname="a.example") for number in range(addresses_)
    ]
    addresses = create_many(rows, actor=Actor.system())
    pools = IPPool.objects.bulk_create(
        IPPool(namespace=organization.uuid, name=f"pool {number}") for number in range(pools_)
    )
    OrganizationPool.objects.bulk_create(OrganizationPool(organization=organization, pool=pool) for pool in pools)
    IPPoolMember.objects.bulk_create(
        IPPoolMember(pool=pools[number % pools_], ip_address=address) for number, address in enumerate(addresses)
    )


def empty() -> None:
    """Begin with no event and no count."""
    with connection.cursor() as cursor:
        cursor.execute(
            "TRUNCATE stats_event, stats_batch, stats_day, stats_servercount, stats_addresscount, stats_domaincount,"
            " stats_sendercount, stats_providercount, stats_rolluprun, stats_sender, stats_senderdomain, stats_subject,"
            " stats_recipientdomain, stats_signature, stats_reasoncount, stats_addressreasoncount, stats_signaturecount,"
            " stats_serverprovidercount, stats_throttlecount, stats_latencycount, stats_closedday, stats_throttlebucket,"
            " stats_platformcount, stats_platformprovidercount"
        )
    for partition in partitions.existing():
        partitions.drop(partition)


def forget_events() -> None:
    """Begin with no event, but with names that were seen before, as on every day but the first."""
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE stats_event, stats_batch")


def store_day(platform: Platform, day: int, number: int, *, seed: int) -> None:
    """Store a day of rows, 10,000 a batch, and let PostgreSQL look at them, as it does by itself after a minute."""
    now = datetime.datetime.now(datetime.UTC)
    for batch in batched(platform.rows(day, number, seed=seed), MOST_EVENTS):
        storing.store(batch, now=now)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE " + next(each.name for each in partitions.existing() if day in each.days))


def today() -> int:
    return buckets.day_of(datetime.datetime.now(datetime.UTC))


def _iso(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat(timespec="milliseconds")
