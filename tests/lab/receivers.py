"""Receivers as models: limits, reputation, greylisting, blocks, tarpits and outages. They are no provider's truth.

A receiver judges each address by itself. What it does follows from its habits, which scenarios give, and from the dice that it
is handed; time is the caller's, in seconds.

* **Limit.** A bucket of tokens per address: `messages_per_hour`, of which `burst_seconds` at once.
* **Volume.** On a day it takes `growth` times the address's busiest day of the last `remembered_days`, and `fresh` messages of
  an address that it does not know. What is above is deferred, and counts against the address.
* **Reputation**, from 0 to 1. Unknown mailboxes, complaints and mail above the volume lower it, by their share of the day's
  mail; time heals it. It stays level where the share of unknown mailboxes is `unknown_mailboxes_tolerated`. Below
  `blocked_below` all mail of the address is refused, until it has healed to `unblocked_above`.
* **Greylisting.** So much of the mail is deferred whatever it is.
* **Outage.** Between two times nothing is taken.
* **Block.** From a time on all mail of an address is deferred with a text that says so, until the receiver has heard nothing
  of the address for some hours.
* **Tarpit.** Replies to an address whose reputation is low take so many seconds; its connection waits for them.
"""

import random
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

HOUR = 3_600
DAY = 86_400
# The reputation of an address that a receiver has never seen.
NEUTRAL = 0.7
HEALED_A_DAY = 0.1
# How much worse than an unknown mailbox a complaint is, and mail above the volume.
COMPLAINT = 10.0
ABOVE_VOLUME = 0.2
# Six times a sixth of a message are one.
ROUNDING = 1e-9


class Mailbox(StrEnum):
    """A recipient, as the receiver knows it."""

    GOOD = "good"
    UNKNOWN = "unknown"
    COMPLAINS = "complains"


@dataclass(frozen=True, slots=True)
class Block:
    """From the hour `begins` on mail of an address is deferred, until it has been quiet for `quiet_hours`."""

    address: str
    begins: float
    quiet_hours: float


@dataclass(frozen=True, slots=True)
class Habits:
    """How a receiver judges. Numbers of messages; None as a limit, and no outages: it has none. Shares are from 0 to 1."""

    name: str
    domain: str
    # What the product counts the domain as.
    provider: str = ""
    # Of the senders' mail.
    share: float = 1.0
    messages_per_hour: int | None = None
    burst_seconds: int = 10
    growth: float | None = 2.0
    fresh: int = 500
    remembered_days: int = 14
    unknown_mailboxes_tolerated: float = 0.05
    blocked_below: float = 0.3
    unblocked_above: float = 0.5
    greylisted: float = 0.0
    # From and until, in hours.
    outages: tuple[tuple[float, float], ...] = ()
    blocks: tuple[Block, ...] = ()
    # Replies take so long below this reputation.
    tarpit_seconds: float = 0.0
    tarpitted_below: float = 0.5


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of an attempt: the product's word for it, the text, whether a complaint follows, and how long it took."""

    word: str
    text: str
    complains: bool = False
    seconds: float = 0.0


@dataclass(slots=True)
class _Known:
    """What a receiver remembers of an address. `days` has the messages that it took, by day."""

    tokens: float
    at: float
    reputation: float = NEUTRAL
    is_blocked: bool = False
    last_at: float | None = None
    attempts: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    days: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    # Blocks that the address has outwaited.
    served: set[Block] = field(default_factory=set)


ACCEPTED = Reply("sent", "250 2.0.0 Ok: queued")
COMPLAINED = Reply("sent", "250 2.0.0 Ok: queued", complains=True)
LIMITED = Reply("deferred", "421 4.7.0 Too many messages from your address, try again later")
NEW_TO_US = Reply("deferred", "421 4.7.0 Unusual rate of mail originating from your IP address, rate limited")
GREYLISTED = Reply("deferred", "451 4.7.1 Greylisted, please try again in some minutes")
AWAY = Reply("deferred", "421 4.3.2 Service not available, try again later")
UNKNOWN = Reply("bounced", "550 5.1.1 User unknown")
SHUT_OUT = Reply("deferred", "421 4.7.1 Connections from your IP address are not accepted at this time")
BLOCKED = Reply("bounced", "550 5.7.1 Your IP address has been blocked because of its poor reputation")


class Receiver:
    """A receiver with its memory of addresses."""

    def __init__(self, habits: Habits, dice: random.Random) -> None:
        self.habits = habits
        self._dice = dice
        self._known: dict[str, _Known] = {}

    def answer(self, address: str, at: float, mailbox: Mailbox = Mailbox.GOOD) -> Reply:
        """Return what becomes of one attempt. Times of one address must not go back."""
        habits = self.habits
        if any(first * HOUR <= at < last * HOUR for first, last in habits.outages):
            return AWAY
        known = self._at(address, at)
        reply = SHUT_OUT if self._is_shut_out(address, known, at) else self._judged(known, int(at // DAY), mailbox)
        known.last_at = at
        if habits.tarpit_seconds and known.reputation < habits.tarpitted_below:
            return replace(reply, seconds=habits.tarpit_seconds)
        return reply

    def _judged(self, known: _Known, day: int, mailbox: Mailbox) -> Reply:
        habits = self.habits
        known.attempts[day] += 1
        if known.is_blocked:
            return BLOCKED
        if habits.messages_per_hour is not None:
            if known.tokens < 1 - ROUNDING:
                return LIMITED
            known.tokens -= 1
        if habits.growth is not None and known.days[day] >= self._volume(known, day):
            self._blame(known, day, ABOVE_VOLUME)
            return NEW_TO_US
        if habits.greylisted and self._dice.random() < habits.greylisted:
            return GREYLISTED
        if mailbox == Mailbox.UNKNOWN:
            self._blame(known, day, 1.0)
            return UNKNOWN
        known.days[day] += 1
        if mailbox == Mailbox.COMPLAINS:
            self._blame(known, day, COMPLAINT)
            return COMPLAINED
        return ACCEPTED

    def _is_shut_out(self, address: str, known: _Known, at: float) -> bool:
        for block in self.habits.blocks:
            if block.address == address and at >= block.begins * HOUR and block not in known.served:
                if known.last_at is None or at - known.last_at < block.quiet_hours * HOUR:
                    return True
                known.served.add(block)
        return False

    def reputation(self, address: str) -> float:
        """Return the address's reputation, as of its last attempt."""
        return self._known[address].reputation if address in self._known else NEUTRAL

    def knows(self, address: str, *, messages: int, until: float) -> None:
        """Let the address have sent so many messages on each day before, with a good reputation."""
        known = self._at(address, until)
        known.reputation = 1.0
        today = int(until // DAY)
        for day in range(today - self.habits.remembered_days, today):
            known.days[day] = known.attempts[day] = messages

    def _at(self, address: str, at: float) -> _Known:
        a_second = (self.habits.messages_per_hour or 0) / HOUR
        burst = max(1.0, a_second * self.habits.burst_seconds)
        known = self._known.get(address)
        if known is None:
            known = self._known[address] = _Known(tokens=burst, at=at)
        passed = at - known.at
        known.tokens = min(burst, known.tokens + passed * a_second)
        known.reputation = min(1.0, known.reputation + HEALED_A_DAY * passed / DAY)
        known.at = at
        if known.is_blocked and known.reputation >= self.habits.unblocked_above:
            known.is_blocked = False
        return known

    def _volume(self, known: _Known, day: int) -> float:
        assert self.habits.growth is not None
        busiest = max((known.days.get(day - back, 0) for back in range(1, self.habits.remembered_days + 1)), default=0)
        return max(self.habits.fresh, self.habits.growth * busiest)

    def _blame(self, known: _Known, day: int, weight: float) -> None:
        # By its share of a day's mail: yesterday's, where today has less yet.
        mail = max(self.habits.fresh, known.attempts.get(day - 1, 0), known.attempts[day])
        known.reputation -= weight * HEALED_A_DAY / self.habits.unknown_mailboxes_tolerated / mail
        known.reputation = max(0.0, known.reputation)
        if known.reputation < self.habits.blocked_below:
            known.is_blocked = True


def read(given: Mapping[str, Any]) -> Habits:
    """Return the habits of a scenario's table; raises TypeError for a name that no habit has."""
    outages = given.get("outages", ())
    blocks = tuple(Block(**each) for each in given.get("blocks", ()))
    return Habits(**{**given, "outages": tuple((first, last) for first, last in outages), "blocks": blocks})
