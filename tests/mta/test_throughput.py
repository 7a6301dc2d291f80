"""A Postfix with a policy is nearly as fast as a plain one on the same machine at the same time."""

import pathlib
import statistics
import time
from collections.abc import Callable

import pytest

from tests.mta.machine import SUBMISSION, Machine
from tests.mta.policies import ACME, policy, published
from tests.mta.receivers import FAST
from throttling.limits import LimitRule

pytestmark = [pytest.mark.server, pytest.mark.long, pytest.mark.live]
MESSAGES = 1000
ROUNDS = 5
PLAIN = """compatibility_level = 3.6
inet_interfaces = 127.0.0.1
mydestination =
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
enable_long_queue_ids = yes
"""


def test_a_policy_costs_at_most_a_fifth(machine_of: Callable[[str], Machine]) -> None:
    machine = machine_of("postfix")
    machine.start_agent()
    rules = tuple(LimitRule(100 + number, (f"[*.]d{number}.example",), 20, 3600) for number in range(40))
    networks = [{"id": 1, "server": ACME, "network": "127.0.0.1/32", "expires_at": None}]
    machine.publish(published(policy("postfix", rules=rules, pools={7: (11, 12, 13)}), networks=networks))
    plain = start_plain(machine, machine.folder / "plain")
    with open(machine.folder / "sink.log", "ab") as log:
        machine.start("smtp-sink", "-u", "postfix", "-c", f"{FAST}:25", "1000", stdout=log, stderr=log)
    queues = {"policy": machine.state / "postfix/queue/pool-7", "plain": plain}
    ports = {"policy": SUBMISSION[1], "plain": 2588}
    seconds: dict[str, list[float]] = {"policy": [], "plain": []}
    for _ in range(ROUNDS):
        for name in ("plain", "policy"):
            seconds[name].append(run(machine, ports[name], queues[name]))
    median = {name: statistics.median(found) for name, found in seconds.items()}
    print(f"messages a second: { ({name: round(MESSAGES / each) for name, each in median.items()}) }")

    assert median["plain"] / median["policy"] >= 0.8


def run(machine: Machine, port: int, queue: pathlib.Path) -> float:
    """Return how long some messages take from the first one's submission until the last one has left."""
    started = time.monotonic()
    done = machine.inside.run(
        "smtp-source",
        "-s",
        "10",
        "-m",
        str(MESSAGES),
        "-f",
        "a@acme.example",
        "-t",
        "u@fast.example",
        f"127.0.0.1:{port}",
    )
    assert done.returncode == 0, done.stderr
    machine.until(lambda: not any(waiting(queue)), 120, "the last message")
    return time.monotonic() - started


def waiting(queue: pathlib.Path) -> list[pathlib.Path]:
    return [
        path
        for kind in ("maildrop", "incoming", "active", "deferred")
        for path in (queue / kind).rglob("*")
        if path.is_file()
    ]


def start_plain(machine: Machine, folder: pathlib.Path) -> pathlib.Path:
    """Start an instance as Debian would configure it, for comparison; it ends with the namespace."""
    for kind in ("etc", "queue", "data"):
        (folder / kind).mkdir(parents=True)
    machine.inside.run("chown", "postfix", str(folder / "data"))
    places = f"queue_directory = {folder}/queue\ndata_directory = {folder}/data\n"
    logs = f"maillog_file = {folder}/mail.log\nmaillog_file_prefixes = {folder}\n"
    (folder / "etc/main.cf").write_text(PLAIN + places + logs)
    services = (machine.state / "postfix/current/pool-7/master.cf").read_text().splitlines()
    shared = [line for line in services if line and line[0] not in "#1" and not line.startswith(("a1", "waiting"))]
    listener = "127.0.0.1:2588 inet n - n - - smtpd"
    (folder / "etc/master.cf").write_text("\n".join([listener, "smtp unix - - n - 100 smtp", *shared]) + "\n")
    done = machine.inside.run("postfix", "-c", str(folder / "etc"), "start")
    assert done.returncode == 0, done.stderr
    return folder / "queue"
