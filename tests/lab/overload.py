"""A sender that is too fast for a receiver, with the built-in program and without."""

import random
from collections import deque
from collections.abc import Mapping
from typing import Any

from ippools.models import AddressCap
from stats import programs
from tests.cast import Tenant, make_tenant
from tests.lab import panel as panels
from tests.lab.panel import OBEYED_AFTER, Panel, clock
from tests.lab.receivers import HOUR, Receiver, read
from tests.lab.story import Story
from throttling.models import Rule, RuleDomain, ThrottleProgram

ADDRESS = "192.0.2.1"
# The panel decides, and the node asks, so often.
TICK = 10


def run(given: Mapping[str, Any], *, seed: int, days: int | None) -> Story:
    """Run the scenario. `days`, if given, are instead of its hours."""
    seconds = int((given["hours"] if days is None else days * 24) * HOUR)
    story = Story()
    without = {"sent": 0, "deferred": 0, "bounced": 0}
    receiver = Receiver(read({**given["receiver"], "growth": None}), random.Random(seed))
    for number in range(seconds * given["messages_per_hour"] // HOUR):
        without[receiver.answer(ADDRESS, number * HOUR / given["messages_per_hour"]).word] += 1
    found = _with_loop(given, seed, seconds, story)
    deferrals, accepted = found["deferred"] / without["deferred"], found["sent"] / without["sent"]
    story.tell(f"without the loop: {without['sent']:,} accepted, {without['deferred']:,} deferred")
    story.tell(f"with the loop:    {found['sent']:,} accepted, {found['deferred']:,} deferred")
    story.figures |= {"deferrals": deferrals, "accepted": accepted}
    bounds = given["bounds"]
    story.expect(
        f"deferrals at most {bounds['deferrals_at_most']} of those without",
        f"{deferrals:.4f}",
        holds=deferrals <= bounds["deferrals_at_most"],
    )
    story.expect(
        f"accepted at least {bounds['accepted_at_least']} of those without",
        f"{accepted:.4f}",
        holds=accepted >= bounds["accepted_at_least"],
    )
    return story


def sender(given: Mapping[str, Any]) -> Tenant:
    """Make the sender: one address, whose rule for the receiver has the built-in program."""
    tenant = make_tenant("Acme", ADDRESS)
    [address] = tenant.addresses
    rule = Rule.objects.create(
        rule_set=address.rules,
        slot=1,
        max_concurrent_connections=20,
        max_messages_per_hour=given["messages_per_hour"],
        throttle_program=ThrottleProgram.objects.get(is_builtin=True),
    )
    RuleDomain.objects.create(rule=rule, rule_set=address.rules, pattern=given["receiver"]["domain"], position=0)
    return tenant


def _with_loop(given: Mapping[str, Any], seed: int, seconds: int, story: Story) -> dict[str, int]:
    tenant = sender(given)
    [address] = tenant.addresses
    domain = given["receiver"]["domain"]
    dice = random.Random(seed)
    receiver, panel = Receiver(read({**given["receiver"], "growth": None}), dice), Panel(dice)
    totals = {"sent": 0, "deferred": 0, "bounced": 0}
    rate = given["messages_per_hour"]
    # What the panel has said, and from when on the node obeys.
    said: deque[tuple[float, int]] = deque()
    next_at = dice.random() * HOUR / rate
    for begin in range(0, seconds, TICK):
        while said and said[0][0] <= begin:
            rate = min(given["messages_per_hour"], said.popleft()[1] or given["messages_per_hour"])
        # As MTAs do, mail leaves evenly within its limit.
        while next_at < begin + TICK:
            reply = receiver.answer(ADDRESS, next_at)
            totals[reply.word] += 1
            panel.note(tenant, ADDRESS, next_at, reply, domain)
            next_at += HOUR / rate
        end = begin + TICK
        panel.receive(end)
        _tell(programs.decide(now=panels.moment(end)), end, story)
        said.append((end + OBEYED_AFTER, panels.limit(address, panels.overlay([address], end), domain, end)))
        if end % HOUR == 0:
            panel.fold(end)
    return totals


def _tell(decided: programs.Decided, at: float, story: Story) -> None:
    if decided.began or decided.extended:
        cap = AddressCap.objects.latest("pk")
        word = "began" if decided.began else "extended"
        story.tell(f"{clock(at)}  back-off {word}: {cap.max_messages_per_hour} messages an hour. {cap.reason}")
    if decided.ended:
        story.tell(f"{clock(at)}  back-off ended")
