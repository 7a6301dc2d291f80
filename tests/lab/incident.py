"""Something happens to a pool: with the loop, and the same hours without. All numbers are the scenario's file's.

The incident is in the receivers' habits (a block, an outage) or in what the operator publishes. The operator acts at the same
times in both runs, so that the difference is the loop's.
"""

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.lab.fleet import Attempt, Fleet, quantile
from tests.lab.panel import Panel, clock
from tests.lab.platform import Platform
from tests.lab.receivers import BLOCKED, HOUR, SHUT_OUT, Receiver, read
from tests.lab.story import Story

# What each address sent to each receiver on each day before.
KNOWN_FOR = 20_000


@dataclass(slots=True)
class Outcome:
    """What became of the mail."""

    attempts: Counter[str] = field(default_factory=Counter)
    # Seconds from submission to acceptance, of all that was accepted since the incident.
    delays: list[float] = field(default_factory=list)
    blocked: set[tuple[str, str]] = field(default_factory=set)
    waiting: int = 0

    def add(self, attempt: Attempt, incident: float) -> None:
        """Count an attempt."""
        self.attempts[attempt.reply.word] += 1
        if attempt.reply.word == "sent" and attempt.message.born >= incident:
            self.delays.append(attempt.at - attempt.message.born)
        if attempt.reply.text in (BLOCKED.text, SHUT_OUT.text):
            self.blocked.add((attempt.address, attempt.receiver.habits.domain))


def run(given: Mapping[str, Any], *, seed: int, days: int | None) -> Story:
    """Run the scenario for its hours, or for `days`."""
    seconds = int((given["hours"] if days is None else days * 24) * HOUR)
    story = Story()
    without = _without(given, seed, seconds)
    platform = Platform(
        given, Panel(random.Random(f"reports {seed}")), lambda at, line: story.tell(f"{clock(at)}  {line}")
    )
    found = _with(given, seed, seconds, platform, story)
    for told, outcome in (("without the loop", without), ("with the loop", found)):
        outcome.delays.sort()
        story.tell(
            f"{told}: {outcome.attempts['sent']:,} accepted, {outcome.attempts['deferred']:,} deferrals, "
            f"{outcome.attempts['bounced']:,} refused, {outcome.waiting:,} wait at the end; delay since the incident "
            f"{quantile(outcome.delays, 0.5):,.0f} s at the median, {quantile(outcome.delays, 0.95):,.0f} s at the 95th "
            f"percentile; {len(outcome.blocked)} addresses were blocked by a receiver"
        )
    incident = given["incident_at_hours"] * HOUR
    story.figures |= {
        "deferrals": _ratio(found.attempts["deferred"], without.attempts["deferred"]),
        "accepted": _ratio(found.attempts["sent"], without.attempts["sent"]),
        "waiting": _ratio(found.waiting, without.waiting),
        "delay_95": _ratio(quantile(found.delays, 0.95), quantile(without.delays, 0.95)),
        "blocked": len(found.blocked),
        "blocked_without": len(without.blocked),
        "drained": platform.most_drained / len(given["addresses"]),
        "decided_after_seconds": _first(platform, "began", incident),
        "drained_after_hours": _first(platform, "drained", incident) / HOUR,
        "restored_after_hours": _first(platform, "restored", incident) / HOUR,
        "changes": sum(at >= incident for at, _ in platform.changes),
    }
    for bound in given["bounds"]:
        value = story.figures[bound["figure"]]
        holds = bound.get("least", value) <= value <= bound.get("most", value)
        story.expect(bound["sentence"], f"{value:,.3f}".rstrip("0").rstrip("."), holds=holds)
    return story


def _ratio(one: float, other: float) -> float:
    return one / other if other else float(one > 0)


def _first(platform: Platform, word: str, since: float) -> float:
    """Return how long after a time something happened first; infinity: never."""
    return min((at - since for at, each in platform.changes if each == word and at >= since), default=float("inf"))


def _receivers(given: Mapping[str, Any], seed: int) -> list[Receiver]:
    receivers = [Receiver(read(each), random.Random(f"{each['name']} {seed}")) for each in given["receivers"]]
    for receiver in receivers:
        for address in given["addresses"]:
            receiver.knows(address, messages=KNOWN_FOR, until=0)
    return receivers


def _without(given: Mapping[str, Any], seed: int, seconds: int) -> Outcome:
    """Run with the limits that are published, and nothing else."""
    fleet, outcome = Fleet(given, _receivers(given, seed), random.Random(f"mail {seed}")), Outcome()
    limits, weights = dict(given["limits"]), dict.fromkeys(given["addresses"], 100)
    steps = _steps(given)

    def limit(_: str, domain: str) -> tuple[int, int]:
        return limits.get(domain, 0), given["connections"]

    for begin in range(0, seconds, given["step_seconds"]):
        if step := steps.get(begin):
            limits.update(step.get("publishes", given["limits"]))
        for attempt in fleet.step(begin, given["step_seconds"], limit, lambda _: weights):
            outcome.add(attempt, given["incident_at_hours"] * HOUR)
    outcome.waiting = fleet.waiting()
    return outcome


def _steps(given: Mapping[str, Any]) -> dict[int, Mapping[str, Any]]:
    """Return what the operator does, by its second."""
    return {int(step["at_hours"] * HOUR): step for step in given.get("operator", ())}


def _with(given: Mapping[str, Any], seed: int, seconds: int, platform: Platform, story: Story) -> Outcome:
    fleet, outcome = Fleet(given, _receivers(given, seed), random.Random(f"mail {seed}")), Outcome()
    steps, length = _steps(given), given["step_seconds"]
    for begin in range(0, seconds, length):
        if step := steps.get(begin):
            if "publishes" in step:
                platform.change_limits({**given["limits"], **step["publishes"]}, begin)
            else:
                platform.roll_back(begin)
            story.tell(f"{clock(begin)}  the operator {step['does']}")
        for attempt in fleet.step(begin, length, platform.node.limit, platform.node.drawn):
            outcome.add(attempt, given["incident_at_hours"] * HOUR)
            platform.note(attempt)
        platform.decide(begin + length)
    outcome.waiting = fleet.waiting()
    return outcome
