"""`python -m tests.fuzz.attacks [--seconds 60] [--seed N] [--production]`: requests that cost a panel much, while another
tenant works.

Each attack was found by attackers, and none may work again: bodies of events that take minutes or gigabytes (and a search for
worse ones, which goes on from the most expensive), acts of unbounded size, zones that cost much to evaluate, clients that
never send what they began, keys that are made up so that a lock-out is forgotten, headers that only a proxy may send.
Meanwhile another tenant reads and writes, and waits at most five seconds. Ends with status 1 at the first that works, and
prints what makes it again.
"""

import argparse
import base64
import contextlib
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

from core.lockout import FAILURES_OF_NAME
from ippools.ranges import MOST_ADDRESSES
from tests.fuzz import bodies, place, zones
from tests.fuzz.cast import Cast, Tenant, make_cast
from tests.fuzz.mutate import Request
from tests.fuzz.prepare import USER
from tests.fuzz.transport import Answer, send
from tools import panel

# The seconds that another tenant waits at most.
PATIENCE = 5
HALF_SENT, SLOW = 200, 40
MADE_UP = 450
_TICKS = os.sysconf("SC_CLK_TCK")


class Worked(Exception):
    """An attack that works, with what makes it again."""


class Workers:
    """The web processes: what they have used of the processors, and the most memory that one of them took."""

    def __init__(self, first: int) -> None:
        children = Path(f"/proc/{first}/task/{first}/children").read_text()
        self._folders = [Path("/proc", number) for number in children.split()]

    def seconds(self) -> float:
        fields = [(each / "stat").read_text().rpartition(") ")[2].split() for each in self._folders]
        return sum(int(each[11]) + int(each[12]) for each in fields) / _TICKS

    def forget_peaks(self) -> list[int]:
        """Begin to look for the most memory anew; return what each takes now, in bytes."""
        for each in self._folders:
            (each / "clear_refs").write_text("5")
        return self._status("VmRSS")

    def peaks(self) -> list[int]:
        return self._status("VmHWM")

    def _status(self, name: str) -> list[int]:
        lines = [each for folder in self._folders for each in (folder / "status").read_text().splitlines()]
        return [int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")]


class Neighbour(threading.Thread):
    """Another tenant, who reads and writes all the time."""

    def __init__(self, url: str, key: str) -> None:
        super().__init__(daemon=True)
        self._url, self._key = url, key
        self._ended = threading.Event()
        self.longest = 0.0
        self.answers = 0
        self.fault: str | None = None

    def run(self) -> None:
        acts: list[tuple[str, object]] = [
            ("servers/show", {}),
            ("servers/update-mode", {"mode": "Development"}),
            ("servers/ip_pools", {"include_stats": True}),
            ("servers/update-mode", {"mode": "Live"}),
        ]
        while not self._ended.wait(0.05) or not self.answers:
            path, given = acts[self.answers % len(acts)]
            began = time.monotonic()
            try:
                answer = send(self._url, postal(path, given, self._key))
            except OSError as broken:
                self.fault = f"{path}: {broken!r}"
                return
            self.longest = max(self.longest, time.monotonic() - began)
            self.answers += 1
            if not is_success(answer):
                self.fault = f"{path}: HTTP {answer.status} {answer.body[:300]!r}"

    def end(self) -> None:
        self._ended.set()
        self.join(60)
        if self.fault or self.longest > PATIENCE or not self.answers:
            raise Worked(f"another tenant waited {self.longest:.1f} s for one of {self.answers} answers; {self.fault}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.fuzz.attacks", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="how long to look for worse bodies")
    parser.add_argument("--seed", type=int, default=None, help="the printed seed of another run")
    parser.add_argument("--production", action="store_true", help="on PostgreSQL and Valkey, not on SQLite")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else Random().randrange(10**6)
    print(f"seed {seed}", flush=True)
    with place.running(production=options.production) as (sluice, _):
        try:
            attack(sluice, make_cast(sluice), Random(seed), seconds=options.seconds)
        except Worked as worked:
            print(f"works: {worked}")
            return 1
    return 0


def attack(sluice: panel.Panel, cast: Cast, random: Random, *, seconds: float) -> None:
    """Try every attack; raises Worked at the first that does."""
    attacker, other = cast.tenants
    acts: dict[str, Callable[[], object]] = {
        "bodies that were found": lambda: found_bodies(sluice, attacker),
        "bodies for event sources": lambda: bodies_of_sources(sluice, cast),
        "a search for worse bodies": lambda: worse_bodies(sluice, attacker, random, seconds=seconds),
        "acts of unbounded size": lambda: large_acts(sluice.url, attacker, cast),
        "hostile zones": lambda: hostile_zones(sluice, attacker),
        "slow clients": lambda: slow_clients(sluice.url),
        "bodies of many chunks": lambda: many_chunks(sluice, attacker),
        "made-up keys": lambda: made_up_keys(sluice.url),
        "headers of proxies": lambda: proxy_headers(sluice.url),
    }
    for name, act in acts.items():
        neighbour = Neighbour(sluice.url, other.key)
        neighbour.start()
        try:
            act()
        finally:
            neighbour.end()
        print(
            f"{name}: another tenant had {neighbour.answers} answers, the longest after {neighbour.longest:.1f} s",
            flush=True,
        )


# --- Bodies of events


def found_bodies(sluice: panel.Panel, attacker: Tenant) -> None:
    for name, make in bodies.FOUND.items():
        seconds, memory, answer = cost_of(sluice, attacker.key, make())
        refused = {"RequestTooLarge"} if name != "an object of lists" else {"RequestTooLarge", None}
        check(name, seconds, memory, answer)
        if name != "levels" and code_of(answer) not in refused:
            raise Worked(f"{name}: {answer.body[:300]!r}")
    for name, body in bodies.LARGEST.items():
        check(name, *cost_of(sluice, attacker.key, body))


def bodies_of_sources(sluice: panel.Panel, cast: Cast) -> None:
    for form, token in cast.sources.items():
        for name, make in bodies.OF_SOURCES.items():
            seconds, memory, answer = cost_of(sluice, token, make())
            if answer.status not in (200, 400, 413):
                raise Worked(f"{name} for {form}: HTTP {answer.status} {answer.body[:300]!r}")
            if seconds > bodies.SECONDS or memory > bodies.MEMORY:
                raise Worked(f"{name} for {form}: {seconds:.1f} s and {memory >> 20} MiB for one request")


def worse_bodies(sluice: panel.Panel, attacker: Tenant, random: Random, *, seconds: float) -> None:
    """Change the most expensive body so far in one way, again and again; begin anew now and then."""
    until = time.monotonic() + seconds
    worst, most, tried = bodies.any_shape(random), 0.0, 0
    while time.monotonic() < until:
        shape = bodies.any_shape(random) if random.random() < 0.2 else bodies.changed(worst, random)
        used, memory, answer = cost_of(sluice, attacker.key, shape.body)
        check(repr(shape), used, memory, answer)
        tried += 1
        if (price := max(used / bodies.SECONDS, memory / bodies.MEMORY)) > most:
            worst, most = shape, price
    print(f"{tried} bodies; the worst took {most:.0%} of what a request may: {worst}", flush=True)


def cost_of(sluice: panel.Panel, key: str, body: bytes) -> tuple[float, int, Answer]:
    """Send events; return the seconds of the processors and the bytes of memory that it took, and the answer."""
    workers = Workers(sluice.web.pid)
    before, began = workers.forget_peaks(), workers.seconds()
    headers = {"Content-Type": "application/x-ndjson", "X-Server-API-Key": key}
    answer = send(sluice.url, Request("POST", "/api/v1/events", headers, body))
    grown = max(after - now for after, now in zip(workers.peaks(), before, strict=True))
    return workers.seconds() - began, grown, answer


def check(name: str, seconds: float, memory: int, answer: Answer) -> None:
    if answer.status not in (200, 413):
        raise Worked(f"{name}: HTTP {answer.status} {answer.body[:300]!r}")
    if seconds > bodies.SECONDS or memory > bodies.MEMORY:
        raise Worked(f"{name}: {seconds:.1f} s and {memory >> 20} MiB for one request")


# --- Acts


def large_acts(url: str, attacker: Tenant, cast: Cast) -> None:
    """Ask for as much at once as a body has room for, by several clients."""
    ips = [f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}" for n in range(60_000)]
    names = [f"d{n}.example" for n in range(30_000)]
    limits = {"max_concurrent_connections": 1, "max_messages_per_hour": 1}
    rules = [{"domains": [name], **limits} for name in names[:8_000]]
    template = {"throttling_template": {"name": "Huge", "rules": rules, "default": limits}}
    wide = {"throttling_template": {"name": "Wide", "rules": [{"domains": names, **limits}], "default": limits}}
    requests = [
        postal("servers/ip_pools/create", {"name": "Huge", "ips": ips}, attacker.key),
        postal("servers/ip_pools/create", {"name": "Full", "ips": ips[: MOST_ADDRESSES + 1]}, attacker.key),
        postal("domains/create", {"name": "example.com", "custom_mx_records": names}, attacker.key),
        greenarrow("throttling_templates", template, cast),
        greenarrow("throttling_templates", wide, cast),
        *(wrong_entries(entry, cast) for entry in ([], {}, {"domains": [1] * 100}, {"domains": ["é" * 70] * 20})),
    ]
    for request in requests:
        with ThreadPoolExecutor(3) as threads:
            answers = list(threads.map(lambda sent: send(url, sent), [request] * 3))
        if any(is_success(each) or each.status in (0, 500) for each in answers):
            raise Worked(f"{request.target} {request.body[:200]!r}: {[each.body[:200] for each in answers]}")


def hostile_zones(sluice: panel.Panel, attacker: Tenant) -> None:
    """Have domains verified whose owner published what costs much to evaluate."""
    for what, name in zones.NAMES.items():
        for domain in (name, f"huge.{name}"):
            send(sluice.url, postal("domains/create", {"name": domain}, attacker.key))
            workers = Workers(sluice.web.pid)
            before, began = workers.forget_peaks(), workers.seconds()
            answer = send(sluice.url, postal("domains/verify", {"name": domain}, attacker.key))
            grown = max(after - now for after, now in zip(workers.peaks(), before, strict=True))
            if code_of(answer) != "VerificationFailed":
                raise Worked(f"{domain}: {answer.body[:300]!r}")
            check(f"a zone of {what}", workers.seconds() - began, grown, answer)


# --- Clients


def slow_clients(url: str) -> None:
    """Begin headers and bodies of the sign-in page, read nothing of large answers, never hang up; then wait for a while."""
    head = b"POST /admin/login/ HTTP/1.1\r\nHost: localhost\r\n"
    # The page reads a body to look for the token that goes with the cookie.
    reads = head + b"Cookie: sluice_csrf=" + b"a" * 32 + b"\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    chunked = reads + b"Transfer-Encoding: chunked\r\n\r\n"
    with contextlib.ExitStack() as stack:
        for _ in range(HALF_SENT):
            begun(stack, url).sendall(head + b"X-")
        for _ in range(SLOW):
            for sent in (
                head + b"Content-Length: 1000\r\n\r\na",
                reads + b"Content-Length: 0000000000000000000001000\r\n\r\na",
                chunked + b"5;" + b"a" * 2_000,
                chunked + b"0\r\nX: " + b"a" * 70_000,
                b"GET /api/schema/ HTTP/1.1\r\nHost: localhost\r\n\r\n" * 30,
                b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
                b"POST /api/v1/servers/create HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20000000\r\n\r\na",
            ):
                begun(stack, url).sendall(sent)
        time.sleep(5)


def begun(stack: contextlib.ExitStack, url: str) -> socket.socket:
    where = urlsplit(url)
    return stack.enter_context(socket.create_connection((where.hostname or "", where.port or 80), timeout=30))


def many_chunks(sluice: panel.Panel, attacker: Tenant) -> None:
    """Send bodies whose chunks have a byte each, to those who read them with a key and without."""
    for path, key in (("servers/create", ""), ("events", attacker.key)):
        workers = Workers(sluice.web.pid)
        before, began = workers.forget_peaks(), workers.seconds()
        where = urlsplit(sluice.url)
        with socket.create_connection((where.hostname or "", where.port or 80), timeout=60) as connection:
            head = f"POST /api/v1/{path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
            head += f"X-Server-API-Key: {key}\r\n\r\n" if key else "\r\n"
            with contextlib.suppress(ConnectionError):
                connection.sendall(head.encode() + b"1\r\n{\r\n" * 2_700_000 + b"0\r\n\r\n")
                connection.recv(1_000)
        grown = max(after - now for after, now in zip(workers.peaks(), before, strict=True))
        if (seconds := workers.seconds() - began) > bodies.SECONDS or grown > bodies.MEMORY:
            raise Worked(f"{path} in chunks of a byte: {seconds:.1f} s and {grown >> 20} MiB for one request")


def made_up_keys(url: str) -> None:
    """Lock a name out by wrong passwords, then fill the cache with keys: the lock must still be there."""
    for number in range(FAILURES_OF_NAME):
        send(url, guess(number))
    if send(url, guess(-1)).status != 429:
        raise Worked("wrong passwords lock nobody out")
    for number in range(MADE_UP):
        send(url, postal("servers/show", {}, f"made-up-{number:024}"))
    if send(url, guess(-2)).status != 429:
        raise Worked(f"{MADE_UP} made-up keys end a lock-out")


def guess(number: int) -> Request:
    pair = base64.b64encode(f"{USER}-guessed:wrong {number}".encode()).decode()
    return Request("GET", "/ga/api/v3/eng/ip_addresses", {"Authorization": f"Basic {pair}"})


def proxy_headers(url: str) -> None:
    """Say what only a proxy may: another path, another scheme, another client."""
    for headers in (
        {"SCRIPT_NAME": "/x", "X-Forwarded-Proto": "https"},
        {"Script-Name": "/x", "X-Forwarded-For": "127.0.0.1"},
        {"X-Script-Name": "/x", "X-Forwarded-Prefix": "/x", "PATH_INFO": "/metrics"},
    ):
        answer = send(url, Request("GET", "/x/metrics", headers))
        if answer.status == 200 or b"sluice_" in answer.body:
            raise Worked(f"{headers}: HTTP {answer.status} {answer.body[:200]!r}")


# --- What is sent


def postal(path: str, given: object, key: str) -> Request:
    headers = {"Content-Type": "application/json", "X-Server-API-Key": key}
    return Request("POST", f"/api/v1/{path}", headers, json.dumps(given).encode())


def greenarrow(path: str, given: object, cast: Cast) -> Request:
    headers = {"Content-Type": "application/json", **cast.greenarrow_headers()}
    return Request("POST", f"/ga/api/v3/eng/{path}", headers, json.dumps(given).encode())


def wrong_entries(entry: object, cast: Cast) -> Request:
    """A template with as many wrong rules as a body has room for."""
    size = len(json.dumps(entry)) + 2
    rules = [entry] * min(45_000, 900_000 // size)
    return greenarrow("throttling_templates", {"throttling_template": {"name": "Wrong", "rules": rules}}, cast)


def is_success(answer: Answer) -> bool:
    if answer.status != 200:
        return False
    told = json.loads(answer.body)
    return told.get("status") == "success" or told.get("success") is True


def code_of(answer: Answer) -> str | None:
    data = json.loads(answer.body)["data"]
    return data.get("code") if isinstance(data, dict) else None


if __name__ == "__main__":
    sys.exit(main())
