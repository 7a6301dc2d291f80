"""However often the agent is killed, what the sink saw, what the log says and what a real Sluice counts are the same.

Meanwhile the log is rotated, the disk of the spool is full for some time, and the proxy before the panel answers 503 or cuts
connections before and after the answer.
"""

import contextlib
import fcntl
import gzip
import json
import pathlib
import random
import re
import smtplib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.mta.disk import small_disk
from tests.mta.inside_sluice import act
from tests.mta.machine import Machine
from tests.mta.policies import ACME, ADDRESSES, GLOBEX
from tests.mta.proxy import FailingProxy, failing_proxy
from tools import panel

pytestmark = [pytest.mark.server, pytest.mark.live]
# What is compared: server, address, recipient's domain, what happened.
type Outcome = tuple[str, str, str, str]
KIND_OF = {250: "sent", 550: "bounced", 452: "deferred", 451: "deferred"}
# Each server has a sender of its own, by which the sink and the log know it.
SENDERS = {"news@acme.example": ACME, "news@globex.example": GLOBEX}
NAMES = ("fine", "nobody", "full", "tempfail", "fine", "fine")
DELIVERY = re.compile(r" sluice-a(\d+)-r\d+/smtp\[\d+\]: (\S+): to=<[^>]*@([^>]*)>, .* status=(sent|deferred|bounced) ")
SENDER = re.compile(r" sluice-pool-\d+/qmgr\[\d+\]: (\S+): from=<([^>]*)>, ")
ROTATIONS = 5


@pytest.mark.parametrize("kind", ["postfix", "haraka"])
@pytest.mark.parametrize(("kills", "messages"), [(6, 120), pytest.param(200, 5000, marks=pytest.mark.long)])
def test_every_outcome_is_counted_once(
    machine_of: Callable[..., Machine], tmp_path: pathlib.Path, kind: str, kills: int, messages: int
) -> None:
    machine = machine_of(kind, disk=small_disk, tries="5s,1h")
    with panel.running(tmp_path, static=False) as sluice, failing_proxy(machine.inside, sluice.url) as proxy:
        made = act(sluice, "prepare_two", kind, ADDRESSES[11], ADDRESSES[12], ADDRESSES[13])
        machine.key_file.write_text(made["key"])
        machine.url = proxy.url
        machine.start_agent()
        machine.until(lambda: (machine.state / "policy.json").exists(), 60, "the first policy")
        machine.until(machine.answers, 30, "the submission service")
        proxy.shares.update({"unavailable": 0.15, "cut before": 0.1, "cut after": 0.1})

        memory = attack(machine, made["passwords"], kills, messages)

        proxy.shares.update(dict.fromkeys(proxy.shares, 0.0))
        hold_deferred(machine)
        machine.until(lambda: is_quiet(machine, 10), 180, "an end of mail")
        truth = seen(machine)
        incoming = {(server, "", "", "incoming"): messages // 2 for server in (ACME, GLOBEX)}
        expected = truth + Counter(incoming)
        machine.until(lambda: stored(sluice) == expected, 120, lambda: differences(expected, stored(sluice)))
        assert logged(machine) == truth, differences(truth, logged(machine))
        compare_counts(act(sluice, "counted"), truth, messages)
        show(proxy, truth, kind, kills, memory)
        # Repeats show that answers were lost, and cost nothing.
        assert kills < 100 or (proxy.repeats > 0 and min(proxy.failures.values()) > 0)


def attack(machine: Machine, passwords: dict[str, str], kills: int, messages: int) -> int:
    """Kill the agent at random moments while mail is sent; rotate logs, and fill the disk for the time of some kills.

    Returns the most memory (resident, in kB) that an agent had used when it was killed.
    """
    chance = random.Random(kills)
    is_sent = threading.Event()
    sender = threading.Thread(target=send, args=(machine, passwords, messages, is_sent), daemon=True)
    sender.start()
    killed = rotated = memory = 0
    full = {kills // 3, kills // 3 + 1, kills * 2 // 3, kills * 2 // 3 + 1} | {
        number for number in range(kills) if number % 40 > 35
    }
    while killed < kills or not is_sent.is_set():
        assert machine.disk is not None
        if killed in full:
            machine.disk.fill()
        else:
            machine.disk.free()
        # Else a busy machine would only ever kill a Python that starts.
        wait_for_lock(machine)
        time.sleep(chance.uniform(0.05, 1.0))
        memory = max(memory, memory_of(machine))
        machine.kill_agent()
        killed += 1
        if machine.kind == "postfix" and rotated < ROTATIONS and killed % max(1, kills // ROTATIONS) == 0:
            # Once while it is down, once while it runs.
            if killed % 2:
                machine.start_agent()
            rotate(machine)
            rotated += 1
        if machine.agent is None:
            machine.start_agent()
        if machine.kind == "postfix" and killed == kills * 3 // 4:
            retry(machine)
    machine.disk.free()
    sender.join(60)
    # What had no room may have ended it; a unit of systemd would start it again.
    machine.kill_agent()
    machine.start_agent()
    assert not sender.is_alive()
    assert machine.kind == "haraka" or rotated == ROTATIONS
    return memory


def memory_of(machine: Machine) -> int:
    """Return the most memory that the agent has used since it started, in kB; 0: it has ended."""
    assert machine.agent is not None
    status = pathlib.Path(f"/proc/{machine.agent.pid}/status")
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text() if status.exists() else "")
    return int(found[1]) if found else 0


def wait_for_lock(machine: Machine) -> None:
    """Wait until the agent works, or has ended by itself because the disk is full."""
    assert machine.agent is not None
    deadline = time.monotonic() + 20
    while machine.agent.poll() is None and time.monotonic() < deadline:
        with open(machine.state / "agent.lock", "r+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return
        time.sleep(0.05)


def send(machine: Machine, passwords: dict[str, str], messages: int, is_sent: threading.Event) -> None:
    for start in range(0, messages, 20):
        sender, server = list(SENDERS.items())[start // 20 % 2]
        waiting = [f"{NAMES[n % 6]}{n}@d{n % 7}.example" for n in range(start, start + 20)]
        while waiting:
            # A log-in each time: the process that answers it outlives the agent. Without room for events Haraka takes no mail.
            with contextlib.suppress(smtplib.SMTPSenderRefused), machine.session(server, passwords[server]) as client:
                while waiting:
                    client.sendmail(sender, waiting[:1], f"Subject: {waiting[0]}\r\n\r\nhello\r\n")
                    waiting.pop(0)
            time.sleep(0.2)
    is_sent.set()


def rotate(machine: Machine) -> None:
    """Let each instance rotate as Postfix does; the agent compresses."""
    # The names of rotated files have seconds.
    time.sleep(1.1)
    for instance in sorted(path.stem for path in (machine.state / "log").glob("*.log")):
        done = machine.inside.run("postfix", "-c", str(machine.state / f"postfix/current/{instance}"), "logrotate")
        assert done.returncode == 0, machine.log()[-500:]


def retry(machine: Machine) -> None:
    """Let Postfix try again what was deferred: the greylisted ones are taken then."""
    for instance in (machine.state / "postfix/current").glob("pool-*"):
        machine.inside.run("postqueue", "-c", str(instance), "-f")


def hold_deferred(machine: Machine) -> None:
    """Let Postfix try nothing again (it does every five minutes) while what was seen is compared with what was counted."""
    if machine.kind == "postfix":
        for instance in (machine.state / "postfix/current").glob("pool-*"):
            machine.inside.run("postsuper", "-c", str(instance), "-h", "ALL", "deferred", check=True)


def is_quiet(machine: Machine, seconds: float) -> bool:
    """Tell whether nothing is under way and no receiver was written to for so long."""
    acts = machine.sink.record.acts
    return bool(acts) and acts[-1].at < time.time() - seconds and not +machine.sink.record.open_by


def seen(machine: Machine) -> Counter[Outcome]:
    """Return what the receivers answered; mail of the MTA itself has no sender."""
    return Counter(
        (SENDERS[each.sender], each.source, each.domain, KIND_OF[each.code])
        for each in machine.sink.record.acts
        if each.sender
    )


def stored(sluice: panel.Panel) -> Counter[Outcome]:
    found: Counter[Outcome] = Counter()
    for server, ip, domain, word, number in act(sluice, "outcomes"):
        found[server, ip, domain if word != "incoming" else "", word] += number
    return found


def differences(expected: Counter[Outcome], found: Counter[Outcome]) -> str:
    return f"what is missing ({expected - found}) and what is too much ({found - expected})"


def logged(machine: Machine) -> Counter[Outcome]:
    """Return what all generations of the log say, read by a program that knows nothing of the agent's."""
    if machine.kind == "haraka":
        texts = [path.read_text() for path in (machine.folder / "policy").glob("*.ndjson*")]
        events = [json.loads(line) for text in texts for line in text.splitlines()]
        return Counter(
            (each["server"], each.get("ip", ""), each["to"].partition("@")[2], each["type"])
            for each in events
            if each["type"] != "incoming"
        )
    policy = json.loads((machine.state / "policy.json").read_text())
    ips = {tag.partition("-")[0]: each["ip"] for tag, each in policy["sources"].items()}
    lines = list(lines_of(machine))
    senders = dict(found.groups() for line in lines if (found := SENDER.search(line)))
    return Counter(
        (SENDERS[senders[queue_id]], ips[f"a{number}"], domain, word)
        for line in lines
        if (found := DELIVERY.search(line))
        for number, queue_id, domain, word in [found.groups()]
        if senders[queue_id]
    )


def lines_of(machine: Machine) -> Iterator[str]:
    for path in sorted((machine.state / "log").iterdir()):
        # While one is being compressed there are both.
        if path.suffix == ".new" or (path.suffix == ".gz" and path.with_suffix("").exists()):
            continue
        text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()
        yield from text.splitlines()


def compare_counts(counted: dict[str, Any], truth: Counter[Outcome], messages: int) -> None:
    """See that the folded counts of each server and each address are those of the receivers."""
    for name, position in (("servers", 0), ("addresses", 1)):
        expected: dict[str, Counter[str]] = {each[position]: Counter() for each in truth}
        for each, number in truth.items():
            expected[each[position]][each[3]] += number
        for key, count in counted[name].items():
            assert +Counter({word: count[word] for word in count if word != "incoming"}) == expected[key], (name, key)
        assert counted[name].keys() == expected.keys()
    assert {each["incoming"] for each in counted["servers"].values()} == {messages // 2}


def show(proxy: FailingProxy, truth: Counter[Outcome], kind: str, kills: int, memory: int) -> None:
    print(
        f"{kind}: {kills} kills, {sum(truth.values())} outcomes counted once;"
        f" {proxy.repeats} repeats, failures {dict(proxy.failures)}; the agent used at most {memory / 1000:.0f} MB"
    )
