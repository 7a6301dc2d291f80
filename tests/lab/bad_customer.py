"""A customer with a bought list on a shared pool: who is named, what is drained, and what the others' mail suffers."""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ippools import drains
from ippools.models import AddressDrain, IPAddress
from nodes import healing
from nodes.policy.read import read_overlay
from servers.pools import grant_pool
from servers.provisioning import suspend_server
from stats.reports import neighbours
from tests.cast import SYSTEM, Tenant, make_tenant
from tests.lab.panel import Panel, clock, moment
from tests.lab.receivers import HOUR, Mailbox, Receiver, read
from tests.lab.story import Story
from throttling.domains import patterns_matching
from throttling.drain import Effect, Mode

ADDRESSES = [f"192.0.2.{number}" for number in range(1, 9)]
CUSTOMERS = ("Ash", "Birch", "Cedar", "Elm", "Fir")
BAD = "Thorn"
# The panel decides, the operator looks, and the node asks, so often: the product decides each minute.
STEP = 5 * 60
# What each address sent to a receiver on each day before.
KNOWN_FOR = 6_000


@dataclass(slots=True)
class _Outcome:
    """What became of the good customers' mail; when the bad one was named; the most addresses drained at a time."""

    good: Counter[str]
    named_at: float | None = None
    drained: int = 0


def run(given: Mapping[str, Any], *, seed: int, days: int | None) -> Story:
    """Run the scenario for its hours, or for `days`."""
    seconds = int(given["hours"] if days is None else days * 24) * HOUR
    story = Story()
    without = _run(given, seed, seconds, None)
    found = _run(given, seed, seconds, story)
    for told, outcome in (("without the loop", without), ("with the loop", found)):
        total = sum(outcome.good.values())
        story.tell(
            f"{told}: {100 * outcome.good['sent'] / total:.1f} % of the good customers’ {total:,} attempts were accepted"
        )
    began = given["bad_after_hours"] * HOUR
    bounds = given["bounds"]
    named = None if found.named_at is None else (found.named_at - began) / HOUR
    story.figures |= {"named_after": -1 if named is None else named, "drained": found.drained / len(ADDRESSES)}
    story.expect(
        f"the bad customer is named first within {bounds['named_within_hours']} h",
        "never" if named is None else f"after {named:.2f} h",
        holds=named is not None and named <= bounds["named_within_hours"],
    )
    story.expect(
        f"drained at most {bounds['drained_at_most']:.0%} of the pool",
        f"{found.drained} of {len(ADDRESSES)}",
        holds=found.drained <= bounds["drained_at_most"] * len(ADDRESSES),
    )
    return story


def _run(given: Mapping[str, Any], seed: int, seconds: int, story: Story | None) -> _Outcome:
    """Run with the loop; without, where there is no story to tell."""
    mail, outcome = random.Random(f"mail {seed}"), _Outcome(Counter())
    receivers = [Receiver(read(each), random.Random(f"{each['name']} {seed}")) for each in given["receivers"]]
    for receiver in receivers:
        for address in ADDRESSES:
            receiver.knows(address, messages=KNOWN_FOR, until=0)
    loop = (
        None
        if story is None
        else _Loop(story, seed, given["operator_takes_hours"] * HOUR, [each.habits.domain for each in receivers])
    )
    allowance = 0.0
    for begin in range(0, seconds, STEP):
        allowance += given["messages_per_hour"] * STEP / HOUR
        number = int(allowance)
        allowance -= number
        for index in range(number):
            at = begin + STEP * index / number
            is_bad = begin >= given["bad_after_hours"] * HOUR and mail.random() < given["share_of_the_bad_customer"]
            customer = BAD if is_bad else mail.choice(CUSTOMERS)
            [receiver] = mail.choices(receivers, [each.habits.share for each in receivers])
            mailbox = _mailbox(given, mail.random(), is_bad=is_bad)
            sending = ADDRESSES if loop is None else loop.sending(receiver.habits.domain)
            address = mail.choice(sending)
            if loop is not None and customer in loop.suspended:
                continue
            reply = receiver.answer(address, at, mailbox)
            if not is_bad:
                outcome.good[reply.word] += 1
            if loop is not None:
                loop.panel.note(loop.tenants[customer], address, at, reply, receiver.habits.domain)
        if loop is not None:
            loop.step(begin + STEP, outcome)
    return outcome


def _mailbox(given: Mapping[str, Any], thrown: float, *, is_bad: bool) -> Mailbox:
    suffix = "_of_the_bad_customer" if is_bad else ""
    if thrown < given[f"unknown_users{suffix}"]:
        return Mailbox.UNKNOWN
    return Mailbox.COMPLAINS if thrown > 1 - given[f"complaints{suffix}"] else Mailbox.GOOD


class _Loop:
    """The panel, and an operator who suspends the server that the report names."""

    def __init__(self, story: Story, seed: int, operator_takes: float, domains: Sequence[str]) -> None:
        self._story, self._domains, self._operator_takes = story, domains, operator_takes
        self.panel = Panel(random.Random(f"reports {seed}"))
        first = make_tenant(CUSTOMERS[0], *ADDRESSES)
        assert first.pool is not None
        self.tenants: dict[str, Tenant] = {CUSTOMERS[0]: first}
        for name in (*CUSTOMERS[1:], BAD):
            self.tenants[name] = make_tenant(name)
            grant_pool(organization=self.tenants[name].organization, pool=first.pool, actor=SYSTEM)
        drains.configure(first.pool.pk, mode=Mode.ACT, share=30, actor=SYSTEM)
        self.suspended: set[str] = set()
        self._addresses = dict(IPAddress.objects.filter(ipv4__in=ADDRESSES).values_list("pk", "ipv4"))
        self._resting: dict[str, list[str]] = {}
        self._told: set[tuple[int, str]] = set()

    def sending(self, domain: str) -> list[str]:
        """Return the addresses that draws for a domain have."""
        return self._resting.get(domain, ADDRESSES)

    def step(self, at: float, outcome: _Outcome) -> None:
        """Receive, decide and look; then the node has the overlay."""
        self.panel.receive(at)
        self.panel.fold(at)
        healing.decide(now=moment(at))
        self._tell(at)
        drained = AddressDrain.objects.open().filter(effect=Effect.DRAINED.value).count()
        outcome.drained = max(outcome.drained, drained)
        bad = self.tenants[BAD].server
        if outcome.named_at is None:
            named = neighbours.of_addresses(list(self._addresses), hours=6, now=moment(at)).servers
            if named and named[0].stands_out and named[0].id == bad.pk:
                outcome.named_at = at
                one = named[0]
                left = one.left
                assert left is not None
                self._story.tell(
                    f"{clock(at)}  named first: {one.name}, {one.tally.refused:,} of {one.tally.attempts:,} attempts refused, "
                    f"{one.tally.complaint:,} complaints; without it {left.percent:.1f} % ({left.lowest:.1f} to "
                    f"{left.highest:.1f} %) of the rest"
                )
        elif BAD not in self.suspended and at >= outcome.named_at + self._operator_takes:
            suspend_server(server=bad, reason="Mail to a bought list", at=moment(at), actor=SYSTEM)
            self._story.tell(f"{clock(at)}  the operator suspends {BAD}")
        self._obey(at)

    def _obey(self, at: float) -> None:
        found = read_overlay(
            virtual_mtas=list(self._addresses),
            servers={each.server.pk: name for name, each in self.tenants.items()},
            at=moment(at),
        )
        self.suspended = {each.tenant for each in found.suspended}
        self._resting = {}
        for domain in self._domains:
            matching = set(patterns_matching(domain))
            gone = {rest.source for rest in found.resting if not rest.domains or not matching.isdisjoint(rest.domains)}
            self._resting[domain] = [ipv4 for pk, ipv4 in sorted(self._addresses.items()) if pk not in gone]

    def _tell(self, at: float) -> None:
        for row in AddressDrain.objects.select_related("address").order_by("pk"):
            word = "restored" if row.ended_at else str(row.effect)
            key = (row.pk, word)
            if key not in self._told:
                self._told.add(key)
                reason = row.ended_because if row.ended_at else row.reason
                self._story.tell(f"{clock(at)}  {row.address.ipv4} {word}: {reason}")
