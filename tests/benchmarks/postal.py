"""Postal's lists and its least request over HTTP, against an empty view and against nested DRF serializers."""

import json
from collections.abc import Callable, Iterator

from django.db import connection
from django.test import Client as DjangoClient
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from core.audit import Actor
from core.encryption import decrypt
from ippools.models import IPAddress
from servers.pools import create_pool
from servers.provisioning import create_organization, create_server
from stats.counts.buckets import Grain
from stats.models import AddressCount
from tests.benchmarks.ratios import Ratio, rates
from tests.benchmarks.web import Client, serving

SERVERS, POOLS, ADDRESSES_A_POOL = 100, 100, 10
MOST_QUERIES = 5
LEAST_OF_AN_EMPTY_VIEW = 0.5
LEAST_AGAINST_A_SERIALIZER = 3
LEAST_AGAINST_SERIALIZERS = 4


def measure() -> Iterator[Ratio]:
    """Yield requests per second of each, one at a time over one connection, and the ratios that must hold."""
    key = _world()
    with CaptureQueriesContext(connection) as captured:
        DjangoClient().get(
            "/api/v1/servers/ip_pools?include_stats=true",
            headers={"X-Server-API-Key": key, "Host": "localhost"},
            secure=True,
        )
    yield Ratio("queries of the pool list", len(captured) - _noted(captured), MOST_QUERIES, is_at_most=True)
    with serving("tests.benchmarks.settings") as client:
        found = rates(
            {
                "an empty Django view": _caller(client, "/rivals/empty"),
                "an authenticated request of one query": _caller(client, "/api/v1/authenticated", key),
                f"servers/list, {SERVERS} servers": _caller(client, "/api/v1/servers/list", key),
                "  the same by a DRF serializer, without a key": _caller(client, "/rivals/servers"),
                f"ip_pools?include_stats=true, {POOLS} pools of {ADDRESSES_A_POOL}": _caller(
                    client, "/api/v1/servers/ip_pools?include_stats=true", key
                ),
                "  the same by nested DRF serializers, without a key": _caller(client, "/rivals/pools"),
            }
        )
    for name, rate in found.items():
        yield Ratio(f"requests/s: {name}", rate)
    empty, authenticated, servers, serialized_servers, pools, serialized_pools = found.values()
    yield Ratio("authenticated request ÷ empty view", authenticated / empty, LEAST_OF_AN_EMPTY_VIEW)
    yield Ratio("servers/list ÷ empty view", servers / empty)
    yield Ratio("servers/list ÷ DRF serializer", servers / serialized_servers, LEAST_AGAINST_A_SERIALIZER)
    yield Ratio("pool list ÷ empty view", pools / empty)
    yield Ratio("pool list ÷ nested DRF serializers", pools / serialized_pools, LEAST_AGAINST_SERIALIZERS)


def _world() -> str:
    """Make the records of one organization and return a key of it."""
    system = Actor.system()
    organization = create_organization(at=timezone.now(), name="Benchmark", permalink="benchmark", actor=system)
    for number in range(POOLS):
        ips = [f"10.1.{number}.{index}" for index in range(ADDRESSES_A_POOL)]
        create_pool(organization=organization, name=f"Pool {number}", ips=ips, actor=system)
    AddressCount.objects.bulk_create(
        AddressCount(grain=Grain.TOTAL, bucket=0, address_id=pk, sent=pk * 17)
        for pk in IPAddress.objects.values_list("pk", flat=True)
    )
    for number in range(SERVERS):
        created = create_server(organization=organization, name=f"Server {number}", actor=system)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return decrypt(created.api_credential.key_ciphertext)


def _noted(captured: CaptureQueriesContext) -> int:
    """Count the statements of the update that a key's first use in a minute costs."""
    return sum(not query["sql"].startswith("SELECT") for query in captured)


def _caller(client: Client, path: str, key: str = "") -> Callable[[], object]:
    """Return a function that makes one request."""
    status, body = client.get(path, key)
    assert status == b"HTTP/1.1 200 OK", (path, status)
    found = json.loads(body)
    assert not isinstance(found, dict) or found.get("status", "success") == "success", found
    return lambda: client.get(path, key)
