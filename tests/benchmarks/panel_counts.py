"""Counts of the last days for new servers and addresses of a large platform: each has those of one of the demo's."""

import datetime

from config.demo import cast
from ippools.models import IPAddress
from servers.models import Server
from stats.counts import buckets, tiers
from stats.counts.buckets import Grain
from stats.models import SenderDomain
from tests.benchmarks.grown import execute

# Days and hours of counts, by the number of a row's keys: with provider and class, an address has hundreds of rows a day.
DAYS = {1: 30, 2: 7, 3: 2}
HOURS = {1: 48, 2: 3, 3: 1}
SERVER, ADDRESS = "Accounts", "198.51.100.22"


def count(now: datetime.datetime, *, servers_after: int, addresses_after: int, domains_after: int) -> None:
    """Write the counts of the servers, addresses and sender domains whose ids are above these."""
    server = Server.objects.get(name=SERVER, organization__permalink=cast.ORGANIZATIONS[0].permalink)
    like = {
        "server_id": server.pk,
        "address_id": IPAddress.objects.get(ipv4=ADDRESS).pk,
        "domain_id": SenderDomain.objects.filter(server_id=server.pk).order_by("pk")[0].pk,
    }
    new = {
        "server_id": f"SELECT id FROM servers_server WHERE id > {servers_after}",
        "address_id": f"SELECT virtualmta_ptr_id AS id FROM ippools_ipaddress WHERE virtualmta_ptr_id > {addresses_after}",
        "domain_id": f"SELECT id FROM stats_senderdomain WHERE id > {domains_after}",
    }
    labels = (
        (1, "servers_server", "id", "permalink", servers_after),
        (2, "ippools_ipaddress", "virtualmta_ptr_id", "host(ipv4)", addresses_after),
    )
    for kind, table, subject, label, after in labels:
        execute(
            "INSERT INTO stats_subject (kind, object_id, label, first_counted_at)"
            f" SELECT {kind}, {subject}, {label}, now() FROM {table} WHERE {subject} > {after}"
        )
    today = buckets.day_of(now)
    for scope in tiers.SCOPES:
        if scope.finest == Grain.MINUTE or scope in (tiers.PLATFORM, tiers.PLATFORM_PROVIDERS):
            continue
        key, *others = scope.keys
        size = len(scope.keys)
        recent = (
            f"(grain = {Grain.DAY:d} AND bucket > {today - DAYS[size]}"
            f" OR grain = {Grain.HOUR:d} AND bucket > {buckets.hour_of(now) - HOURS[size]} OR grain > {Grain.DAY:d})"
        )
        columns = ", ".join([*others, *scope.counters])
        execute(
            f"INSERT INTO {scope.table} (grain, bucket, {key}, {columns}) SELECT grain, bucket, new.id, {columns}"
            f" FROM {scope.table} CROSS JOIN ({new[key]}) AS new WHERE {key} = {like[key]} AND {recent} ORDER BY 1, 2, 3"
        )
    for scope, source in ((tiers.PLATFORM, tiers.SERVERS), (tiers.PLATFORM_PROVIDERS, tiers.SERVER_PROVIDERS)):
        key = f"grain, bucket{scope.columns}"
        written = ", ".join(f"{kind} = excluded.{kind}" for kind in scope.counters)
        execute(
            f"INSERT INTO {scope.table} ({key}, {scope.counted}) SELECT {key}, {scope.sums} FROM {source.table}"
            f" WHERE grain IN ({Grain.HOUR:d}, {Grain.DAY:d}) GROUP BY {key} ON CONFLICT ({key}) DO UPDATE SET {written}"
        )
