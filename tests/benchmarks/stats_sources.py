"""Events of sources, end to end: KumoMTA's records against the same events in the native format."""

import datetime
import io
import statistics
import time
import uuid
from collections.abc import Iterator
from typing import Any

import orjson

from core import memory
from core.audit import Actor
from stats.intake import event_sources
from stats.intake.delivery import deliver
from stats.models import Event
from tests.benchmarks.ratios import Ratio
from tests.benchmarks.stats_data import Platform, empty, forget_events, today

EVENTS = 100_000
ROUNDS = 5
NOW = datetime.datetime.now(datetime.UTC)
KINDS = {"incoming": "Reception", "sent": "Delivery", "deferred": "TransientFailure", "bounced": "Bounce"}


def measure() -> Iterator[Ratio]:
    """Yield events a second of each format, in turn, and their ratio."""
    events = [each for each in Platform().events(today() - 1, 2 * EVENTS, seed=3) if each["type"] in KINDS][:EVENTS]
    bodies = {"native": events, "kumomta": list(map(_record, events))}
    packed = {name: b"\n".join(map(orjson.dumps, records)) for name, records in bodies.items()}
    made = {
        name: event_sources.make_source(name=f"{name} {uuid.uuid4()}", format=name, actor=Actor.system()).source
        for name in packed
    }
    # As a web process does, which holds no such lists.
    memory.collect_rarely()
    taken: dict[str, list[float]] = {name: [] for name in packed}
    for _ in range(ROUNDS):
        for name, body in packed.items():
            forget_events()
            began = time.perf_counter()
            accepted = deliver(made[name], lambda body=body: [io.BytesIO(body)], now=NOW).document()["accepted"]  # type: ignore[misc]
            taken[name].append(time.perf_counter() - began)
            assert accepted == Event.objects.count() == EVENTS
    rates = {name: EVENTS / statistics.median(each) for name, each in taken.items()}
    for name, rate in rates.items():
        yield Ratio(f"{name}: events a second, read and stored", rate)
    yield Ratio("KumoMTA's records to the native format", rates["kumomta"] / rates["native"], 0.5)
    empty()


def _record(event: dict[str, Any]) -> dict[str, Any]:
    """Return the event as KumoMTA logs it."""
    kind = event["type"]
    code = {"incoming": 250, "sent": 250, "deferred": 451, "bounced": 550}[kind]
    at = datetime.datetime.fromisoformat(event["at"])
    return {
        "type": KINDS[kind], "id": event["id"], "sender": event["from"], "recipient": event["to"], "size": 1312,
        "queue": f"news@{event['to'].partition('@')[2]}", "site": "ip->mx1.big.example@smtp_client",
        "response": {"code": code, "enhanced_code": None, "content": event.get("reply", "Ok: queued"), "command": "."},
        "peer_address": {"name": "mx1.big.example.", "addr": "198.51.100.10"}, "timestamp": int(at.timestamp()),
        "event_time": event["at"], "created": int(at.timestamp()), "created_time": event["at"], "num_attempts": 0,
        "bounce_classification": "Uncategorized", "egress_pool": "main", "egress_source": "s1",
        "source_address": {"address": f"{event['ip']}:0"} if "ip" in event else None, "feedback_report": None,
        "meta": {"tenant": event["server"]}, "headers": {}, "delivery_protocol": "ESMTP", "reception_protocol": "ESMTP",
        "nodeid": "5d1c9a52-6a55-4a0b-9a57-1e1f7f4f2c11",
    }  # fmt: skip
