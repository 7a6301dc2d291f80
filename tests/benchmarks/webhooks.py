"""Webhooks: deliveries a second on the loopback, and what they cost the ingestion of servers that have none.

Everything runs on this machine: the database, the workers, each a process, and the receivers in a process of their own.
"""

import asyncio
import datetime
import multiprocessing
import os
import statistics
import time
import uuid
from collections.abc import Iterator, Sequence

from tests.benchmarks.ratios import Ratio

DELIVERIES = 20_000
WORKERS = 2
HOSTS = 16
ROUNDS = 7
SMALL_BATCHES = 200


def measure() -> Iterator[Ratio]:
    """Yield the rates, and ingestion beside itself without the look for webhooks."""
    from stats.ledger.row import Row
    from tests.benchmarks.stats_data import Platform, today

    platform, day = Platform(), today() - 1
    rows: list[Row] = list(platform.rows(day, 2 * ROUNDS * 10_000, seed=1))
    yield Ratio("ingest without webhooks, 10,000 events a batch / before", beside(rows, 10_000, ROUNDS), 0.9)
    rows = list(platform.rows(day, 2 * ROUNDS * SMALL_BATCHES, seed=2))
    yield Ratio("ingest without webhooks, one event a batch / before", beside(rows, 1, ROUNDS * SMALL_BATCHES), 0.9)
    for sign in (True, False):
        name = "signed" if sign else "not signed"
        yield Ratio(f"deliveries a second, {name}, {WORKERS} workers", deliver(sign=sign), 1_000 if sign else None)


def beside(rows: Sequence[tuple[object, ...]], size: int, rounds: int) -> float:
    """Return the median of how fast batches are stored that look for webhooks, beside batches that do not."""
    from stats.ledger import storing

    now = datetime.datetime.now(datetime.UTC)
    seconds: dict[bool, list[float]] = {True: [], False: []}
    batches = [rows[start : start + size] for start in range(0, len(rows), size)]
    storing.store(batches.pop(), now=now)
    for number in range(len(batches) // 2):
        # Each is first as often as the other.
        for looks in ((True, False), (False, True))[number % 2]:
            begun = time.perf_counter()
            storing.store(batches.pop(), now=now, event_of=(lambda key: {}) if looks else None)
            seconds[looks].append(time.perf_counter() - begun)
    return statistics.median(seconds[False]) / statistics.median(seconds[True])


def receive(ports: "multiprocessing.Queue[int]") -> None:
    """Take any request on the loopback, whatever its address in 127.0.0.0/8, and answer 200."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        await writer.drain()
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(serve, "0.0.0.0", 0, backlog=1024)
        ports.put(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


def work() -> None:
    """Send until nothing is left."""
    import django

    django.setup()
    from django.utils import timezone

    from webhooks.models import Delivery
    from webhooks.sending import run

    while Delivery.objects.waiting().exists():
        run(clock=timezone.now, seconds=600)
        time.sleep(0.05)


def deliver(*, sign: bool) -> float:
    """Return deliveries a second to some hosts; the time that the workers take to start is part of it."""
    from django.utils import timezone

    from tests.factories import ServerFactory, WebhookFactory
    from webhooks.models import Delivery
    from webhooks.queueing import Target, queue
    from webhooks.signing import ensure_key

    os.environ |= {"SLUICE_WEBHOOK_NETWORKS": "127.0.0.0/8", "SLUICE_WEBHOOK_WORKERS": str(WORKERS)}
    spawn = multiprocessing.get_context("spawn")
    ports = spawn.Queue()
    receiver = spawn.Process(target=receive, args=(ports,), daemon=True)
    receiver.start()
    port = ports.get()
    server = ServerFactory(permalink=uuid.uuid4().hex[:20])
    hooks = [WebhookFactory(server=server, url=f"http://127.0.2.{n + 1}:{port}/hook", sign=sign) for n in range(HOSTS)]
    ensure_key(at=timezone.now())
    message = {"id": "m-1", "to": "reader@example.net", "from": "news@example.com"}
    targets = [Target(each.pk, server.pk, frozenset(), is_private=False) for each in hooks]
    told = ((targets[n % HOSTS], "MessageSent", {"message": message, "status": "Sent"}) for n in range(DELIVERIES))
    queue(told, now=timezone.now())
    workers = [spawn.Process(target=work) for _ in range(WORKERS)]
    begun = time.perf_counter()
    for each in workers:
        each.start()
    for each in workers:
        each.join()
    seconds = time.perf_counter() - begun
    receiver.kill()
    assert Delivery.objects.filter(webhook__in=hooks, state="delivered", attempts=1).count() == DELIVERIES
    return DELIVERIES / seconds
