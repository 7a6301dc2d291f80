"""Senders whose mail waits at a node and is tried again: what becomes of it, under limits that the caller looks up.

A message has a receiver; at each attempt an address is drawn for it. Each address keeps to its limit for the receiver and to
its connections, and tries a deferred message again after the waits that MTAs use.
"""

import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.lab.receivers import HOUR, Receiver, Reply

# Seconds to the next attempt; the last one repeats.
WAITS = (300, 600, 1_200, 2_400, 4_000)

# Messages an hour and connections of an address towards a domain; 0 is unlimited.
type Limit = tuple[int, int]


class Message(NamedTuple):
    """A message that waits: when it may be tried, and what it is."""

    ready: float
    number: int
    receiver: int
    born: float
    tries: int


class Attempt(NamedTuple):
    """One attempt with its answer."""

    at: float
    address: str
    receiver: Receiver
    reply: Reply
    message: Message


@dataclass(slots=True)
class _Lane:
    """The messages that one address has for one receiver, and when it may send the next."""

    waiting: deque[Message] = field(default_factory=deque)
    next_at: float = 0.0


class Fleet:
    """All senders of a scenario: so many messages an hour, to its receivers by their shares."""

    def __init__(self, given: Mapping[str, Any], receivers: Sequence[Receiver], dice: random.Random) -> None:
        self.receivers = receivers
        self._an_hour: float = given["messages_per_hour"]
        self._dice = dice
        self._owed = [0.0 for _ in receivers]
        self._later: list[Message] = []
        self._lanes: dict[tuple[str, int], _Lane] = {}
        self._numbers = itertools.count()

    def step(
        self,
        begin: float,
        seconds: float,
        limit: Callable[[str, str], Limit],
        drawn: Callable[[str], Mapping[str, int]],
    ) -> Iterator[Attempt]:
        """Yield the attempts of some seconds. `limit` is of an address and a domain; `drawn` has weights by address."""
        end = begin + seconds
        due = list(self._new(begin, seconds))
        while self._later and self._later[0].ready < end:
            due.append(heapq.heappop(self._later))
        weights = [drawn(each.habits.domain) for each in self.receivers]
        for (address, receiver), lane in self._lanes.items():
            if address not in weights[receiver]:
                # It has no part in the draw any more: its mail is drawn anew.
                due += lane.waiting
                lane.waiting.clear()
        for message in sorted(due):
            found = weights[message.receiver]
            if not found:
                heapq.heappush(self._later, message)
                continue
            [address] = self._dice.choices(list(found), list(found.values()))
            self._lanes.setdefault((address, message.receiver), _Lane()).waiting.append(message)
        for (address, number), lane in self._lanes.items():
            if lane.waiting:
                yield from self._send(lane, address, number, end, limit)

    def waiting(self) -> int:
        """Return how many messages wait."""
        return len(self._later) + sum(len(lane.waiting) for lane in self._lanes.values())

    def _new(self, begin: float, seconds: float) -> Iterator[Message]:
        for number, receiver in enumerate(self.receivers):
            self._owed[number] += self._an_hour * receiver.habits.share * seconds / HOUR
            new = int(self._owed[number])
            self._owed[number] -= new
            for position in range(new):
                at = begin + seconds * position / new
                yield Message(at, next(self._numbers), number, at, 0)

    def _send(
        self, lane: _Lane, address: str, number: int, end: float, limit: Callable[[str, str], Limit]
    ) -> Iterator[Attempt]:
        receiver = self.receivers[number]
        per_hour, connections = limit(address, receiver.habits.domain)
        gap = HOUR / per_hour if per_hour else 0.0
        while lane.waiting and (at := max(lane.next_at, lane.waiting[0].ready)) < end:
            message = lane.waiting.popleft()
            reply = receiver.answer(address, at)
            busy = reply.seconds / connections if connections else 0.0
            lane.next_at = at + max(gap, busy)
            if reply.word == "deferred":
                wait = WAITS[min(message.tries, len(WAITS) - 1)]
                heapq.heappush(self._later, message._replace(ready=at + wait, tries=message.tries + 1))
            yield Attempt(at, address, receiver, reply, message)


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value below which this share of the sorted values lies; 0 of none."""
    return values[min(int(len(values) * share), len(values) - 1)] if values else 0.0
