"""However often the agent is killed, what the sink saw, what the log says and what the panel counted are the same."""

import gzip
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable

import pytest

from nodes.policy.model import Policy
from tests.mta.machine import Machine
from tests.mta.policies import ACME, GLOBEX, PASSWORD, policy, published

pytestmark = pytest.mark.server
KIND_OF = {250: "sent", 550: "bounced", 452: "deferred", 451: "deferred"}
DELIVERY = re.compile(r" sluice-a\d+-r\d+/smtp\[\d+\]: \S+: to=<([^>]*)>, .* status=(sent|deferred|bounced) ")


def asked(kind: str) -> Policy:
    return policy(kind, pools={7: (11, 12), 8: (13,)}, tenants={ACME: 7, GLOBEX: 8})


@pytest.mark.parametrize(
    ("kind", "kills", "messages"),
    [
        pytest.param("postfix", 5, 120),
        pytest.param("haraka", 5, 120),
        pytest.param("postfix", 200, 5000, marks=pytest.mark.long),
        pytest.param("haraka", 200, 5000, marks=pytest.mark.long),
    ],
)
def test_every_outcome_is_counted_once(
    machine_of: Callable[[str], Machine], kind: str, kills: int, messages: int
) -> None:
    machine = machine_of(kind)
    machine.panel.unavailable, machine.panel.cut_before, machine.panel.cut_after = 0.15, 0.1, 0.1
    machine.start_agent()
    machine.obey(published(asked(kind)))
    chance = random.Random(kills)
    is_sent = threading.Event()
    sender = threading.Thread(target=send, args=(machine, messages, is_sent), daemon=True)
    sender.start()
    killed = rotated = 0
    while killed < kills or not is_sent.is_set():
        time.sleep(chance.uniform(0.05, 1.0))
        machine.kill_agent()
        killed += 1
        if kind == "postfix" and rotated < 5 and killed % max(1, kills // 5) == 0:
            # Once while it is down, once while it runs.
            if killed % 2:
                machine.start_agent()
            rotate(machine)
            rotated += 1
        if machine.agent is None:
            machine.start_agent()
    sender.join(60)
    machine.panel.unavailable = machine.panel.cut_before = machine.panel.cut_after = 0.0

    machine.until(lambda: len({act.to for act in machine.sink.record.acts if act.sender}) == messages, 120, "all mail")
    truth = Counter((act.to, KIND_OF[act.code]) for act in machine.sink.record.acts if act.sender)
    # Greylisted mail is not tried again before the test is over: Postfix waits for five minutes.
    machine.until(lambda: sum(outcomes(machine).values()) >= sum(truth.values()) or is_quiet(machine), 120, "outcomes")
    assert (truth - outcomes(machine), outcomes(machine) - truth) == (Counter(), Counter())
    assert kinds(machine)["incoming"] == messages
    if kind == "postfix":
        assert logged(machine) == truth
        assert rotated == 5
    assert killed >= kills
    # Repeats show that answers were lost, and cost nothing.
    assert kills < 100 or machine.panel.repeats > 0


def send(machine: Machine, messages: int, is_sent: threading.Event) -> None:
    names = ("fine", "nobody", "full", "tempfail", "fine", "fine")
    for start in range(0, messages, 20):
        server = (ACME, GLOBEX)[start // 20 % 2]
        # A log-in each time: the process that answers it outlives the agent.
        machine.send(server, PASSWORD, [f"{names[n % 6]}{n}@d{n % 7}.example" for n in range(start, start + 20)])
        time.sleep(0.2)
    is_sent.set()


def is_quiet(machine: Machine) -> bool:
    """Tell whether nothing more has come for some time."""
    before = len(machine.panel.events)
    time.sleep(10)
    return len(machine.panel.events) == before


def outcomes(machine: Machine) -> Counter[tuple[str, str]]:
    return Counter(
        (event["to"], event["type"]) for event in list(machine.panel.events.values()) if event["type"] != "incoming"
    )


def kinds(machine: Machine) -> Counter[str]:
    return Counter(event["type"] for event in list(machine.panel.events.values()))


def rotate(machine: Machine) -> None:
    """Let each instance rotate as Postfix does: renamed, and compressed at once."""
    # The names of rotated files have seconds.
    time.sleep(1.1)
    for instance in sorted(path.stem for path in (machine.state / "log").glob("*.log")):
        done = machine.inside.run("postfix", "-c", str(machine.state / f"postfix/current/{instance}"), "logrotate")
        assert done.returncode == 0, machine.log()[-500:]


def logged(machine: Machine) -> Counter[tuple[str, str]]:
    """Return what all generations of the log say, read by a program that knows nothing of the agent's."""
    found: Counter[tuple[str, str]] = Counter()
    for path in sorted((machine.state / "log").iterdir()):
        text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()
        found.update(match for match in DELIVERY.findall(text) if not match[0].endswith("@acme.example"))
    return found
