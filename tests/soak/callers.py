"""Callers that read, write and report events as fast as they are answered, and note how long each answer took."""

import http.client
import json
import random
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tests.faults.installation import ADDRESS, Installation

EVENTS_A_BATCH = 100
# Of a hundred requests. Reading is most of what a panel is asked; a batch of events is a hundred of them.
MIX = {
    "show a server, with stats": 25,
    "list pools, with stats": 10,
    "list addresses (GreenArrow)": 10,
    "show an address (GreenArrow)": 5,
    "effective limits (GreenArrow)": 10,
    "e-mail stats": 5,
    "create a server": 6,
    "delete a server": 6,
    "change an address (GreenArrow)": 8,
    "report 100 events": 15,
}


@dataclass
class Tally:
    """What all callers saw."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    errors: list[str] = field(default_factory=list)
    events: int = 0
    # A kept connection that the server had closed (it makes way for a fresh process now and then): asked again on a new one.
    reconnected: int = 0
    ended: threading.Event = field(default_factory=threading.Event)


class Caller(threading.Thread):
    """One client with one connection."""

    def __init__(self, number: int, installation: Installation, address: int, basic: str, tally: Tally) -> None:
        super().__init__(daemon=True)
        self.number, self.installation, self.address, self.basic, self.tally = (
            number,
            installation,
            address,
            basic,
            tally,
        )
        self.chance = random.Random(number)
        self.turn = 0
        self.made: list[str] = []
        place = urlsplit(installation.client.url)
        self.connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=60)

    def run(self) -> None:
        acts = list(MIX)
        weights = list(MIX.values())
        while not self.tally.ended.is_set():
            self.turn += 1
            self.act(self.chance.choices(acts, weights)[0])
        self.connection.close()

    def act(self, name: str) -> None:  # noqa: C901 - a table of what callers do
        match name:
            case "show a server, with stats":
                self.postal(name, "servers/show", {"include_stats": True})
            case "list pools, with stats":
                self.postal(name, "servers/ip_pools", {"include_stats": True, "stats_period": "month"})
            case "e-mail stats":
                today = time.strftime("%Y-%m-%d", time.gmtime())
                self.postal(name, "servers/email-stats", {"start_date": today, "end_date": today})
            case "list addresses (GreenArrow)":
                self.greenarrow(name, "GET", "ip_addresses?page=0&page_size=50")
            case "show an address (GreenArrow)":
                self.greenarrow(name, "GET", f"ip_addresses/{self.address}")
            case "effective limits (GreenArrow)":
                self.greenarrow(name, "GET", f"ip_addresses/{self.address}/effective_limits?domain=gmail.com")
            case "change an address (GreenArrow)":
                self.greenarrow(
                    name,
                    "PUT",
                    f"ip_addresses/{self.address}",
                    {"ip_address": {"hostname": f"h{self.turn}.mail.example"}},
                )
            case "create a server":
                uuid = self.installation.organization
                answer = self.postal(
                    name, "servers/create", {"organization_uuid": uuid, "name": f"S{self.number}-{self.turn}"}
                )
                if answer is not None:
                    self.made.append(answer["data"]["server"]["api_key"])
            case "delete a server":
                if self.made:
                    self.postal(name, "servers/delete", {}, key=self.made.pop())
            case _:
                self.report(name)

    def report(self, name: str) -> None:
        now = round(time.time(), 3)
        events = [
            {"id": f"{self.number}-{self.turn}-{each}", "type": "sent", "at": now, "ip": ADDRESS,
             "from": f"news{each % 7}@acme.example", "to": f"a{each}@example{each % 11}.net"}
            for each in range(EVENTS_A_BATCH)
        ]  # fmt: skip
        answer = self.postal(name, "events", events)
        if answer is not None:
            # After a connection that broke off, the first try may have been stored: then all are duplicates.
            if answer["data"]["accepted"] + answer["data"]["duplicates"] != EVENTS_A_BATCH:
                self.tally.errors.append(f"{name}: {answer['data']}")
            self.tally.events += EVENTS_A_BATCH

    def postal(self, name: str, path: str, body: Any, *, key: str = "") -> Any:
        headers = {"X-Server-API-Key": key or self.installation.client.key}
        answer = self.ask(name, "POST", f"/api/v1/{path}", body, headers)
        if answer is not None and answer.get("status") != "success":
            self.tally.errors.append(f"{name}: {answer}")
            return None
        return answer

    def greenarrow(self, name: str, method: str, path: str, body: Any = None) -> Any:
        answer = self.ask(name, method, f"/ga/api/v3/eng/{path}", body, {"Authorization": self.basic})
        if answer is not None and answer.get("success") is not True:
            self.tally.errors.append(f"{name}: {answer}")
        return answer

    def ask(self, name: str, method: str, path: str, body: Any, headers: dict[str, str]) -> Any:
        raw = None if body is None else json.dumps(body)
        sent = {"Content-Type": "application/json", **headers}
        for is_last in (False, True):
            began = time.perf_counter()
            try:
                self.connection.request(method, path, raw, sent)
                response = self.connection.getresponse()
                content = response.read()
            except (http.client.RemoteDisconnected, ConnectionError) as error:
                self.connection.close()
                if is_last:
                    self.tally.errors.append(f"{name}: {error!r}")
                    return None
                self.tally.reconnected += 1
                continue
            self.tally.seconds[name].append(time.perf_counter() - began)
            if response.status != 200:
                self.tally.errors.append(f"{name}: {response.status} {content[:300]!r}")
                return None
            return json.loads(content)
        return None
