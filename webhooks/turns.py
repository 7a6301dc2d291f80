"""Whose webhook is next: organizations in turn, and the webhooks of each in turn: thousands of one hold up no other's."""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator

# An organization, and whether the webhook answers: one that does waits for none of its own organization's that does not.
type Group = tuple[int, bool]

# Webhooks that a worker calls at the same time, with each of which it has to do: a few for each of its threads.
MOST = 128
# So many of each group have a place in any case.
LEAST_OF_A_GROUP = 4


class Turns:
    """The webhooks that a worker calls, by organization."""

    def __init__(self) -> None:
        self._organizations: deque[int] = deque()
        self._webhooks: dict[int, deque[int]] = {}

    def add(self, organization_id: int, webhook_id: int) -> None:
        if organization_id not in self._webhooks:
            self._webhooks[organization_id] = deque()
            # Before those that had a turn.
            self._organizations.appendleft(organization_id)
        self._webhooks[organization_id].append(webhook_id)

    def remove(self, organization_id: int, webhook_id: int) -> None:
        webhooks = self._webhooks[organization_id]
        webhooks.remove(webhook_id)
        if not webhooks:
            del self._webhooks[organization_id]
            self._organizations.remove(organization_id)

    def next(self, may: Callable[[int], bool]) -> int | None:
        """Return the next webhook that may be called; None: there is none."""
        for _ in range(len(self._organizations)):
            webhooks = self._webhooks[self._organizations[0]]
            self._organizations.rotate(-1)
            for _ in range(len(webhooks)):
                found = webhooks[0]
                webhooks.rotate(-1)
                if may(found):
                    return found
        return None


def with_a_place[Row](
    rows: Iterable[Row], group_of: Callable[[Row], Group], held: Iterable[Group]
) -> Iterator[tuple[Row, bool]]:
    """Yield rows that want a place beside those that are held, of each group in turn, and whether theirs is certain.

    One whose place is not certain has one while fewer than `MOST` are held.
    """
    ranks = Counter(held)
    ranked = []
    for row in rows:
        group = group_of(row)
        ranked.append((ranks[group], row))
        ranks[group] += 1
    ranked.sort(key=lambda each: each[0])
    for rank, row in ranked:
        yield row, rank < LEAST_OF_A_GROUP
