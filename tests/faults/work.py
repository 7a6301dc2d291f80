"""Callers that go on working whatever happens, and remember what they were told was done."""

import secrets
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.faults.client import Answer, Client
from tests.faults.installation import ADDRESS, Installation


@dataclass
class Work:
    """What was accepted, what was refused clearly, and anything that was neither."""

    installation: Installation
    # One installation sees many of us: each has names of its own.
    name: str = field(default_factory=lambda: f"W{secrets.token_hex(4)}-")
    servers: dict[str, str] = field(default_factory=dict)
    # Names whose answer never came: they may be there or not, but never twice.
    unknown_servers: set[str] = field(default_factory=set)
    # Refused as unavailable: a commit whose confirmation was lost is answered so, and may be there.
    refused_servers: set[str] = field(default_factory=set)
    events: list[dict[str, Any]] = field(default_factory=list)
    # Events that were not answered, or refused as unavailable: they may be there, and are sent again.
    unknown_events: list[dict[str, Any]] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    slowest: float = 0.0
    _ended: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self, callers: int = 2) -> None:
        for number in range(callers):
            for act in (self._create_servers, self._report_events):
                thread = threading.Thread(target=self._go_on, args=(act, number), daemon=True)
                thread.start()
                self._threads.append(thread)

    def stop(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in self._threads), "a request hangs"

    def _go_on(self, act: Any, number: int) -> None:
        client = Client(self.installation.client.url, self.installation.client.key)
        turn = 0
        while not self._ended.is_set():
            turn += 1
            try:
                act(client, f"{self.name}{number}-{turn}")
            except AssertionError as error:
                self.wrong.append(str(error))
            if self._ended.wait(0.02):
                return

    def _create_servers(self, client: Client, name: str) -> None:
        given = {"organization_uuid": self.installation.organization, "name": name}
        answer = client.postal("servers/create", given)
        if self._is_accepted(answer, "servers/create"):
            assert answer is not None
            self.servers[name] = answer.body["data"]["server"]["uuid"]
        elif answer is None:
            self.unknown_servers.add(name)
        else:
            self.refused_servers.add(name)

    def _report_events(self, client: Client, name: str) -> None:
        events = some_events(self.installation, name, 5)
        answer = client.postal("events", events)
        if self._is_accepted(answer, "events"):
            assert answer is not None
            assert answer.body["data"] == {
                "accepted": 5,
                "duplicates": 0,
                "ignored": 0,
                "conflicts": [],
                "warnings": [],
                "refused": [],
            }, answer.body
            self.events += events
        else:
            self.unknown_events += events

    def _is_accepted(self, answer: Answer | None, path: str) -> bool:
        if answer is None:
            self.refused["no answer"] += 1
            return False
        self.slowest = max(self.slowest, answer.seconds)
        if answer.is_success:
            return True
        if answer.is_unavailable:
            self.refused["503"] += 1
        else:
            self.wrong.append(f"{path}: {answer.status} {answer.body}")
        return False

    def send_the_rest(self) -> int:
        """Send again what was not accepted, and return how many events there are now: each is there once."""
        for start in range(0, len(self.unknown_events), 5_000):
            answer = self.installation.client.postal("events", self.unknown_events[start : start + 5_000])
            assert answer is not None
            assert answer.is_success, answer.body
            assert not answer.body["data"]["refused"]
        return len(self.events) + len(self.unknown_events)

    def check(self) -> None:
        """Everything accepted is there once; nothing that was answered in another way than it should be."""
        assert not self.wrong, self.wrong[:5]
        assert self.servers, "nothing was accepted at all"
        client = self.installation.client
        listed = client.postal("servers/list", {"include_stats": False})
        assert listed is not None
        assert listed.is_success, listed.body
        found: dict[str, list[str]] = {}
        for server in listed.body["data"]["servers"]:
            found.setdefault(server["name"], []).append(server["uuid"])
        assert all(len(uuids) == 1 for uuids in found.values()), "a server is there twice"
        lost = {name for name, uuid in self.servers.items() if found.get(name) != [uuid]}
        assert not lost, f"accepted and lost: {sorted(lost)}"
        strange = {name for name in found if name.startswith(self.name)} - set(self.servers)
        assert not strange - self.unknown_servers - self.refused_servers, strange
        for start in range(0, len(self.events), 5_000):
            again = self.events[start : start + 5_000]
            answer = client.postal("events", again)
            assert answer is not None
            assert answer.body["data"]["accepted"] == 0, f"events that were accepted are lost: {answer.body}"


def some_events(installation: Installation, name: str, count: int, *, at: float | None = None) -> list[dict[str, Any]]:
    """Return events of the installation's server, sent just now by its address."""
    moment = round(at or time.time(), 3)
    return [
        {"id": f"{name}-{number}", "type": "sent", "at": moment, "server": installation.server, "ip": ADDRESS,
         "from": "news@acme.example", "to": f"a{number}@example.net"}
        for number in range(count)
    ]  # fmt: skip
