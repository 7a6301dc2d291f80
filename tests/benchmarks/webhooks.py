"""Webhooks: deliveries a second on the loopback, and what webhooks and suppressions cost ingestion.

Everything runs on this machine: the database, the workers, each a process, and the receivers in a process of their own. The
processor's time of a delivery is told beside the rate: other load on the machine lengthens the one and hardly the other.
"""

import asyncio
import contextlib
import datetime
import multiprocessing
import os
import resource
import statistics
import time
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

from tests.benchmarks.ratios import Ratio

DELIVERIES = 20_000
WORKERS = 2
HOSTS = 16
ROUNDS = 7
SMALL_BATCHES = 200
# Servers of another organization that have webhooks, and webhooks of each.
OTHERS, HOOKS = 500, 10
# Of the bounces, one in so many is of class "no such mailbox".
UNKNOWN = 5
SIGNATURES = 500


def measure() -> Iterator[Ratio]:
    """Yield the rates, and ingestion beside itself without the look for webhooks and suppressions."""
    from stats.ledger.row import Row
    from tests.benchmarks.stats_data import Platform, today

    platform, day = Platform(), today() - 1
    add_others()
    rows: list[Row] = list(platform.rows(day, 2 * ROUNDS * 10_000, seed=1))
    name = "ingest for servers without webhooks, while others have some,"
    yield Ratio(f"{name} 10,000 events a batch / before", beside(rows, 10_000, ROUNDS), 0.9)
    rows = list(platform.rows(day, 2 * ROUNDS * SMALL_BATCHES, seed=2))
    yield Ratio(f"{name} one event a batch, storing alone / before", beside(rows, 1, ROUNDS * SMALL_BATCHES))
    events = platform.events(day, 2 * ROUNDS * SMALL_BATCHES, seed=4)
    yield Ratio(f"{name} one event a batch / before", one_by_one(events), 0.9)
    rows = [suppressing(row, n) for n, row in enumerate(platform.rows(day, 2 * ROUNDS * 10_000, seed=3))]
    yield Ratio(
        "ingest that suppresses 2 % of the recipients, 10,000 events a batch / before",
        beside(rows, 10_000, ROUNDS),
    )
    yield Ratio("milliseconds of a processor for the two signatures of a delivery", signing_costs())
    for sign, keeps, goal in ((True, True, 1_000), (True, False, None), (False, True, None)):
        kind = f"{'signed' if sign else 'not signed'}, receivers {'keep' if keeps else 'close'} connections"
        rate, milliseconds = deliver(sign=sign, keeps=keeps)
        yield Ratio(f"deliveries a second, {kind}, {WORKERS} workers", rate, goal)
        yield Ratio(f"milliseconds of a processor for a delivery, {kind}", milliseconds, goal and 1.5, is_at_most=True)


def add_others() -> None:
    """Let other servers have webhooks."""
    from servers.models import Server, Webhook
    from tests.factories import OrganizationFactory

    organization = OrganizationFactory()
    servers = Server.objects.bulk_create(
        Server(organization=organization, name=f"other {n}", permalink=f"other-{n}") for n in range(OTHERS)
    )
    Webhook.objects.bulk_create(
        Webhook(server=server, name="Hook", url="http://127.0.2.1/hook") for server in servers for _ in range(HOOKS)
    )


def suppressing(row: tuple[Any, ...], number: int) -> Any:
    """Return a row; of bounces, one in some as that of a mailbox that does not exist."""
    from stats.kinds import Kind
    from stats.ledger.row import KIND, REASON
    from stats.reasons import Reason

    if row[KIND] != Kind.BOUNCED.value or number % UNKNOWN:
        return row
    return (*row[:REASON], Reason.NO_SUCH_MAILBOX.value, *row[REASON + 1 :])


def event_of(key: bytes) -> dict[str, str]:
    """Return as much of an event as is asked for."""
    return {"id": key.hex(), "to": f"reader{key.hex()}@example.net"}


def beside(rows: Sequence[tuple[object, ...]], size: int, rounds: int) -> float:
    """Return the median of how fast batches are stored that look for webhooks and suppressions, beside those that do not."""
    from stats.ledger import storing

    now = datetime.datetime.now(datetime.UTC)
    seconds: dict[bool, list[float]] = {True: [], False: []}
    batches = [rows[start : start + size] for start in range(0, len(rows), size)]
    storing.store(batches.pop(), now=now)
    for number in range(len(batches) // 2):
        # Each is first as often as the other.
        for looks in ((True, False), (False, True))[number % 2]:
            begun = time.perf_counter()
            storing.store(batches.pop(), now=now, event_of=event_of if looks else None)
            seconds[looks].append(time.perf_counter() - begun)
    return statistics.median(seconds[False]) / statistics.median(seconds[True])


def one_by_one(events: Sequence[dict[str, Any]]) -> float:
    """Return the same as `beside` for all of ingestion, events one by one as requests bring them: validated and looked up."""
    from stats.intake.ingest import Reporter, ingest
    from stats.ledger import storing

    now = datetime.datetime.now(datetime.UTC)
    seconds: dict[bool, list[float]] = {True: [], False: []}
    store = storing.store
    try:
        for number, event in enumerate(events):
            # Of four, the first and the last look: each is first as often as the other.
            looks = number % 4 in (0, 3)
            storing.store = store if looks else lambda rows, *, now, event_of=None: store(rows, now=now)
            begun = time.perf_counter()
            assert ingest([event], reporter=Reporter(), now=now).accepted == 1
            seconds[looks].append(time.perf_counter() - begun)
    finally:
        storing.store = store
    return statistics.median(seconds[False]) / statistics.median(seconds[True])


def signing_costs() -> float:
    """Return milliseconds of a processor for what signs a delivery: of what a delivery costs, nothing can spare it."""
    from django.utils import timezone

    from webhooks.signing import signer

    by, body = signer(at=timezone.now()), b"x" * 500
    begun = time.process_time()
    for _ in range(SIGNATURES):
        by.headers(body)
    return 1_000 * (time.process_time() - begun) / SIGNATURES


def receive(ports: "multiprocessing.Queue[int]", keeps: bool) -> None:
    """Take any request on the loopback, whatever its address in 127.0.0.0/8, and answer 200."""
    closing = b"" if keeps else b"Connection: close\r\n"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                await reader.readexactly(length)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" + closing + b"\r\nok")
                await writer.drain()
                if not keeps:
                    break
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


def deliver(*, sign: bool, keeps: bool = True) -> tuple[float, float]:
    """Return deliveries a second to some hosts, and milliseconds of a processor that the workers take for one.

    The time that the workers take to start is part of both; database and receivers are in the first.
    """
    from django.utils import timezone

    from tests.factories import ServerFactory, WebhookFactory
    from webhooks.models import Delivery
    from webhooks.queueing import Target, queue
    from webhooks.signing import ensure_key

    os.environ |= {"SLUICE_WEBHOOK_NETWORKS": "127.0.0.0/8", "SLUICE_WEBHOOK_WORKERS": str(WORKERS)}
    spawn = multiprocessing.get_context("spawn")
    ports = spawn.Queue()
    receiver = spawn.Process(target=receive, args=(ports, keeps), daemon=True)
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
    begun, used = time.perf_counter(), children_used()
    for each in workers:
        each.start()
    for each in workers:
        each.join()
    seconds, used = time.perf_counter() - begun, children_used() - used
    receiver.kill()
    assert Delivery.objects.filter(webhook__in=hooks, state="delivered", attempts=1).count() == DELIVERIES
    return DELIVERIES / seconds, 1_000 * used / DELIVERIES


def children_used() -> float:
    """Return the seconds of a processor that the processes used that this one has waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
