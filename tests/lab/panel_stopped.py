"""The panel is away for a day: nodes keep what they have, agents keep what they have seen, and the return is calm."""

import random
from collections import deque
from collections.abc import Mapping
from typing import Any

from nodes import healing
from stats import programs
from stats.models import Event
from tests.cast import Tenant
from tests.lab import panel as panels
from tests.lab.overload import ADDRESS, TICK, sender
from tests.lab.panel import OBEYED_AFTER, Panel, clock, moment
from tests.lab.receivers import HOUR, Receiver, read
from tests.lab.story import Story


def run(given: Mapping[str, Any], *, seed: int, days: int | None) -> Story:
    """Run the scenario; the panel is away for `days` where they are given."""
    story, bounds = Story(), given["bounds"]
    stopped = given["stopped_after_minutes"] * 60
    returned = stopped + (given["stopped_minutes"] if days is None else days * 24 * 60) * 60
    node = _Node(given, seed)
    node.run(0, stopped, is_stopped=False)
    rate, before = node.rate, len(node.changes)
    story.tell(
        f"{clock(stopped)}  the panel stops, after {before} changes; the node lets {rate:,} messages an hour leave"
    )
    node.run(stopped, returned, is_stopped=True)
    kept, meanwhile = node.rate, len(node.changes) - before
    story.tell(f"{clock(returned)}  the panel is there again; {node.backlog:,} events wait in the agent")
    node.run(returned, returned + given["returned_minutes"] * 60, is_stopped=False)
    after = node.changes[before + meanwhile :]
    for at, limit in after:
        story.tell(f"{clock(at)}  the node lets {limit:,} messages an hour leave")
    is_counted = node.is_counted()
    story.figures |= {"changes": len(after), "while_stopped": meanwhile, "backlog": node.backlog}
    story.expect("the node keeps its limits", f"{rate:,} then {kept:,}", holds=rate == kept)
    story.expect(
        f"changes of the limit while the panel is away: {bounds['changed_while_stopped']}",
        meanwhile,
        holds=meanwhile <= bounds["changed_while_stopped"],
    )
    story.expect(
        f"changes of the limit in the {given['returned_minutes']} minutes after: at most {bounds['changes_at_most']}",
        len(after),
        holds=len(after) <= bounds["changes_at_most"],
    )
    story.expect("each event is stored once", "yes" if is_counted else "no", holds=is_counted)
    return story


class _Node:
    """A node that sends to one receiver, with its agent and the panel."""

    def __init__(self, given: Mapping[str, Any], seed: int) -> None:
        dice = random.Random(seed)
        self._given = given
        self._tenant: Tenant = sender(given)
        [self._address] = self._tenant.addresses
        self._receiver = Receiver(read({**given["receiver"], "growth": None}), dice)
        self._panel = Panel(dice)
        self._said: deque[tuple[float, int]] = deque()
        self.rate: int = given["messages_per_hour"]
        self._next_at = dice.random() * HOUR / self.rate
        self._attempts = 0
        # The changes of the limit that the node obeys: when, and to what.
        self.changes: list[tuple[float, int]] = []
        self.backlog = 0

    def run(self, begin: int, end: int, *, is_stopped: bool) -> None:
        """Send between two times; while the panel is stopped, events wait and no overlay comes."""
        for tick in range(begin, end, TICK):
            while self._said and self._said[0][0] <= tick and not is_stopped:
                self._obey(tick, self._said.popleft()[1])
            self._send(tick + TICK)
            if not is_stopped:
                self._panel_works(tick + TICK)
        if is_stopped:
            self._said.clear()
            self.backlog = self._panel.waiting(end)

    def _send(self, until: float) -> None:
        domain = self._given["receiver"]["domain"]
        while self._next_at < until:
            reply = self._receiver.answer(ADDRESS, self._next_at)
            self._panel.note(self._tenant, ADDRESS, self._next_at, reply, domain)
            self._attempts += 1
            self._next_at += HOUR / self.rate

    def _panel_works(self, at: float) -> None:
        self._panel.receive(at, most=self._given["events_at_once"])
        programs.decide(now=moment(at))
        if at % 60 == 0:
            healing.decide(now=moment(at))
        said = panels.limit(self._address, panels.overlay([self._address], at), self._given["receiver"]["domain"], at)
        self._said.append((at + OBEYED_AFTER, said))

    def _obey(self, at: float, limit: int) -> None:
        if limit != self.rate:
            self.rate = limit
            self.changes.append((at, limit))

    def is_counted(self) -> bool:
        """Return whether each attempt that was reported is an event, once."""
        return Event.objects.count() == self._attempts - self._panel.waiting(float("inf"))
