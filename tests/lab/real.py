"""Scenarios in real time: a Postfix or Haraka node in a network namespace, a whole Sluice, and the receivers of the laboratory.

The same models answer as in virtual time (`tests.lab.receivers`), here by SMTP. Rules without the program stand beside those
with it, so that the same minutes are seen with the loop and without.
"""

import itertools
import json
import math
import random
import smtplib
import statistics
import tempfile
import threading
import time
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.lab import inside_sluice
from tests.lab.receivers import HOUR, Receiver, read
from tests.lab.story import Story
from tests.mta import machine as machine_of
from tests.mta.background import beside
from tests.mta.inside_sluice import act
from tests.mta.machine import Machine, state_folder
from tests.mta.namespace import CannotBeMade, namespace
from tests.mta.reach import reachable
from tests.mta.receivers import Act, Sink, Verdict
from throttling.backoff import BUCKET
from tools import panel

FOLDER = Path(__file__).parent / "scenarios/real"
SCENARIOS = sorted(each.stem for each in FOLDER.glob("*.toml"))
SERVER, SENDER = "acme/mail", "news@acme.example"
# So much more than may leave is submitted, so that mail always waits.
PLENTY = 1.2
# What is kept is looked at for so long, from some seconds after the MTA obeys.
LOOKED_AT = 60
# What leaves by an address so long after its drain is too much.
OBEYED_WITHIN = 30
# When Haraka tries deferred mail again; Postfix does after five minutes.
TRIES = "5m,10m"


class ModelReceivers(Sink):
    """Receivers that answer as the models do, by the address that mail comes from and the recipient's domain."""

    def __init__(self, given: Sequence[Mapping[str, Any]], seed: int) -> None:
        super().__init__()
        receivers = [
            Receiver(read({"growth": None, **each}), random.Random(f"{each['name']} {seed}")) for each in given
        ]
        self._of = {each.habits.domain: each for each in receivers}
        self.began = time.time()

    def verdict(self, source: str, sender: str, to: str) -> Verdict:
        reply = self._of[to.rpartition("@")[2]].answer(source, time.time() - self.began)
        return Verdict(int(reply.text[:3]), reply.text, reply.seconds)


class Reaction(NamedTuple):
    """How the MTA came to obey one back-off. Times are the sink's; `kept` is the rate since then, in reduced rates."""

    address: str
    domain: str
    # The first and the last reply of the ten seconds that decided, and the last attempt at the old rate.
    first: float
    last: float
    obeyed: float
    kept: float

    @property
    def seconds(self) -> float:
        """Return the time from the last reply that the decision knew to the MTA obeying."""
        return self.obeyed - self.last


def numbers(name: str) -> dict[str, Any]:
    """Return a scenario's file."""
    return tomllib.loads((FOLDER / f"{name}.toml").read_text())


def why_not(kind: str) -> str | None:
    """Return why no node of this kind can be run here; None: it can."""
    try:
        with namespace():
            return machine_of.why_not(kind)
    except CannotBeMade as reason:
        return str(reason)


def run_alone(name: str, kind: str, *, seed: int, minutes: float | None) -> tuple[str, Story]:
    """Run a scenario with a machine and a Sluice of its own, and return its title and story."""
    given = numbers(name)
    with ExitStack() as stack:
        inside = stack.enter_context(namespace())
        inside.add_addresses(given["addresses"])
        machine = Machine(
            inside,
            kind,
            stack.enter_context(state_folder()),
            sink=ModelReceivers(given["receivers"], seed),
            tries=TRIES,
        )
        stack.callback(machine.close)
        return given["title"], run(given, machine, minutes=minutes)


def run(given: Mapping[str, Any], machine: Machine, *, minutes: float | None = None) -> Story:
    """Run a scenario for its minutes, or for so many, with a Sluice of its own. The machine's sink is of ModelReceivers."""
    with (
        tempfile.TemporaryDirectory(prefix="sluice-lab-") as folder,
        panel.running(Path(folder), worker=True, beat=True, static=False) as sluice,
        reachable(machine.inside, sluice.url) as machine.url,
    ):
        return _run(given, machine, sluice, minutes=given["minutes"] if minutes is None else minutes)


def _run(given: Mapping[str, Any], machine: Machine, sluice: panel.Panel, *, minutes: float) -> Story:
    made = act(sluice, "prepare", machine.kind, json.dumps(given), module=inside_sluice.__name__)
    machine.key_file.write_text(made["key"])
    machine.start_agent()
    machine.until(lambda: (machine.state / "policy.json").exists(), 60, "the first policy")
    machine.until(machine.answers, 60, "the submission service")
    machine.forget()
    assert isinstance(machine.sink, ModelReceivers)
    machine.sink.began = time.time()
    with mail_flowing(given, machine, made["password"]):
        time.sleep(minutes * 60)
    return _told(
        given, machine.sink.began, list(machine.sink.record.acts), act(sluice, "decided", module=inside_sluice.__name__)
    )


@contextmanager
def mail_flowing(given: Mapping[str, Any], machine: Machine, password: str) -> Iterator[None]:
    """Submit somewhat more than may leave by the rules."""
    domains = [each["domain"] for each in given["receivers"]]
    every = HOUR / (given["messages_per_hour"] * len(given["addresses"]) * len(domains) * PLENTY)

    def flow(is_over: threading.Event) -> None:
        next_at = time.monotonic()
        while not is_over.is_set():
            try:
                with machine.session(SERVER, password) as client:
                    for number in itertools.count():
                        to = f"reader{number}@{domains[number % len(domains)]}"
                        client.sendmail(SENDER, [to], "Subject: x\r\n\r\nhello\r\n")
                        next_at += every
                        if is_over.wait(max(0.0, next_at - time.monotonic())):
                            return
            except (OSError, smtplib.SMTPException):
                # A policy was applied, and the session's end came with it.
                is_over.wait(0.5)

    with beside(flow, seconds=30):
        yield


def _told(given: Mapping[str, Any], began: float, acts: Sequence[Act], decided: Mapping[str, Any]) -> Story:
    story, reactions = Story(), []
    for cap in decided["caps"]:
        found = _reaction(given, acts, cap)
        story.tell(
            f"{_clock(cap['began'] - began)}  back-off began: {cap['address']} at {cap['domain']}, {cap['per_hour']} an hour. "
            f"{cap['reason']}"
        )
        if found is not None:
            reactions.append(found)
            story.tell(
                f"{_clock(found.obeyed - began)}  the MTA obeys, {found.seconds:.1f} s after the last reply that decided and "
                f"{found.obeyed - found.first:.1f} s after the first of its ten seconds: {found.kept:.2f} of the reduced rate"
            )
    for row in decided["drains"]:
        story.tell(f"{_clock(row['at'] - began)}  {row['address']} {row['effect']}: {row['reason']}")
    story.figures |= _figures(given, acts, decided, reactions)
    story.figures |= _figures_of_drains(given, began, acts, decided["drains"])
    for bound in given["bounds"]:
        value = story.figures[bound["figure"]]
        holds = bound.get("least", value) <= value <= bound.get("most", value)
        story.expect(bound["sentence"], f"{value:,.2f}", holds=holds)
    return story


def _figures(
    given: Mapping[str, Any], acts: Sequence[Act], decided: Mapping[str, Any], reactions: Sequence[Reaction]
) -> dict[str, float]:
    domains = {each["domain"] for each in given["receivers"]}
    guarded = domains - set(given["without"])
    throttles = {(address, domain) for address in given["addresses"] for domain in guarded}
    reached = {(cap["address"], cap["domain"]) for cap in decided["caps"]}
    counted: Counter[tuple[bool, bool]] = Counter(
        (each.domain in guarded, each.code == 250) for each in acts if each.sender and each.domain in domains
    )
    parts = len(domains - guarded) / len(guarded)

    def ratio(*, accepted: bool) -> float:
        without = counted[False, accepted]
        return counted[True, accepted] * parts / without if without else math.inf

    def median(values: Sequence[float]) -> float:
        return statistics.median(values) if values else math.inf

    return {
        "decided": len(reached & throttles) / len(throttles),
        "obeyed_after_seconds": median([each.seconds for each in reactions]),
        "obeyed_after_the_bucket_began": median([each.obeyed - each.first for each in reactions]),
        "kept": max((each.kept for each in reactions), default=math.inf),
        "deferrals": ratio(accepted=False),
        "accepted": ratio(accepted=True),
    }


def _figures_of_drains(
    given: Mapping[str, Any], began: float, acts: Sequence[Act], drains: Sequence[Mapping[str, Any]]
) -> dict[str, float]:
    found = [row for row in drains if row["effect"] == "drained"]
    incident = began + 60 * given.get("incident_at_minutes", 0)
    after = [
        each
        for row in found
        for each in acts
        if each.source == row["address"] and each.at > row["at"] + OBEYED_WITHIN and each.sender
        if not row["providers"] or each.domain in row["providers"]
    ]
    return {
        "drained": len({row["address"] for row in found}) / len(given["addresses"]),
        "drained_after_seconds": min((row["at"] - incident for row in found), default=math.inf),
        "attempts_after_the_drain": len(after),
    }


def _reaction(given: Mapping[str, Any], acts: Sequence[Act], cap: Mapping[str, Any]) -> Reaction | None:
    """Return when the MTA came to obey a cap; None: the run ended too soon to tell.

    The old rate has ended with the last attempt that is the third within a time in which the reduced rate has at most two.
    """
    times = sorted(
        each.at for each in acts if each.source == cap["address"] and each.domain == cap["domain"] and each.sender
    )
    in_bucket = [at for at in times if cap["boundary"] - BUCKET <= at < cap["boundary"]]
    if not in_bucket:
        return None
    normal, reduced = HOUR / given["messages_per_hour"], HOUR / cap["per_hour"]
    close = 2 * math.sqrt(normal * reduced)
    until = min(cap["until"], times[-1])
    fast = [
        third
        for first, _, third in zip(times, times[1:], times[2:], strict=False)
        if third - first < close and third < until
    ]
    obeyed = max([in_bucket[-1], *fast])
    end = min(until, obeyed + LOOKED_AT)
    if end - obeyed < LOOKED_AT / 2:
        return None
    kept = sum(obeyed < at <= end for at in times) * reduced / (end - obeyed)
    return Reaction(cap["address"], cap["domain"], in_bucket[0], in_bucket[-1], obeyed, kept)


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60:3}:{int(seconds) % 60:02}"
