"""Replays hourly attempt counts against new limits, hour by hour.

Mail above an hour's limit waits for the next hours, the oldest first. That is exact for whole hours, and says nothing of what
receivers would have answered.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from nodes.policy.flat import Limit, limit_tables
from nodes.policy.model import Policy

# (source, recipient domain, hour since 1970): how many attempts.
type Attempts = Iterable[tuple[int, str, int, int]]


@dataclass(frozen=True, slots=True)
class Counter:
    """What one hourly limit counts: a rule's mail by an address, or, for the default (rule 0), that to one domain."""

    source: int
    rule: int
    domain: str


@dataclass(frozen=True, slots=True)
class Delay:
    """The mail that a limit would have delayed, summed over addresses with the same limit."""

    # The domains that were sent to, the busiest first.
    domains: tuple[str, ...]
    rule: int
    per_hour: int
    addresses: tuple[str, ...]
    attempts: int
    delayed: int
    # Hours in which mail of some address waited.
    hours: int
    longest_minutes: int
    # The busiest hour of the last day, of one address.
    busiest: int

    @property
    def left_percent(self) -> int:
        """The limit as a percentage of the busiest hour."""
        return 100 if self.busiest <= self.per_hour else round(100 * self.per_hour / self.busiest)


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """The delays, the longest first, and between which hours; `moves` says that domains come under other rules."""

    delays: tuple[Delay, ...]
    first_hour: int
    last_hour: int
    moves: bool


def rehearse(before: Policy, after: Policy, attempts: Attempts, *, last_hour: int, hours: int = 7 * 24) -> Rehearsal:
    """Replay the attempts against the limits of `after`; only changes are reported. The last hour is not over yet."""
    old, new = limit_tables(before), limit_tables(after)
    used: defaultdict[Counter, defaultdict[int, int]] = defaultdict(lambda: defaultdict(int))
    by_domain: defaultdict[Counter, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    limits: dict[Counter, Limit] = {}
    changed: set[Counter] = set()
    moves = False
    for source, domain, hour, number in attempts:
        if source not in old or source not in new:
            continue
        was, becomes = old[source].of(domain), new[source].of(domain)
        counter = Counter(source, becomes.rule, "" if becomes.rule else domain)
        limits[counter] = becomes
        used[counter][hour] += number
        by_domain[counter][domain] += number
        if was.per_hour != becomes.per_hour or was.rule != becomes.rule:
            changed.add(counter)
            moves = moves or was.rule != becomes.rule
    first_hour = last_hour - hours + 1
    ip_of = {source.id: source.ipv4 for source in after.sources}
    grouped: defaultdict[tuple[int, str, int], list[Counter]] = defaultdict(list)
    for counter in changed:
        if limits[counter].per_hour:
            grouped[counter.rule, counter.domain, limits[counter].per_hour].append(counter)
    delays = []
    for (rule, _, limit), counters in grouped.items():
        counters.sort(key=lambda each: each.source)
        totals: defaultdict[str, int] = defaultdict(int)
        for counter in counters:
            for domain, count in by_domain[counter].items():
                totals[domain] += count
        busiest_first = sorted(totals, key=lambda domain: (-totals[domain], domain))
        of_addresses = {ip_of[counter.source]: used[counter] for counter in counters}
        delays.append(delay_of(rule, limit, busiest_first, of_addresses, last_hour=last_hour))
    return Rehearsal(longest_first(delays), first_hour, last_hour, moves)


def longest_first(delays: Iterable[Delay]) -> tuple[Delay, ...]:
    """Return the delays in the order in which they are shown."""
    return tuple(sorted(delays, key=lambda each: (-each.longest_minutes, -each.delayed, each.rule, each.domains)))


def delay_of(
    rule: int, limit: int, domains: Sequence[str], used: Mapping[str, Mapping[int, int]], *, last_hour: int
) -> Delay:
    """Replay the attempts by address and hour against an hourly limit that each address has."""
    hours: set[int] = set()
    delayed = attempts = longest = busiest = 0
    for of_address in used.values():
        waited, number, most_waiting = waiting(of_address, limit)
        hours |= waited
        delayed += number
        attempts += sum(of_address.values())
        # The last of those that wait leaves when all before it have.
        longest = max(longest, -(-most_waiting * 60 // limit))
        busiest = max([busiest, *(count for hour, count in of_address.items() if hour > last_hour - 24)])
    return Delay(tuple(domains), rule, limit, tuple(used), attempts, delayed, len(hours), longest, busiest)


def waiting(used: Mapping[int, int], limit: int) -> tuple[set[int], int, int]:
    """Return the hours at whose end mail waited, how many did not leave in their own hour, and the most that waited."""
    hours: set[int] = set()
    backlog = delayed = most = 0
    if not used:
        return hours, delayed, most
    hour = min(used)
    last = max(used)
    while hour <= last or backlog:
        arrived = used.get(hour, 0)
        # What waited goes first.
        in_their_hour = min(arrived, max(0, limit - backlog))
        delayed += arrived - in_their_hour
        backlog = max(0, backlog + arrived - limit)
        if backlog:
            hours.add(hour)
            most = max(most, backlog)
        if hour > last:
            # No more comes: the rest leaves hour by hour.
            left = -(-backlog // limit)
            hours |= set(range(hour, hour + left))
            break
        hour += 1
    return hours, delayed, most


def sentences(found: Rehearsal) -> list[str]:
    """Return the rehearsal as sentences, one per limit."""
    return sentences_of(found.delays)


def sentences_of(delays: Iterable[Delay]) -> list[str]:
    """Return delays as sentences, one per limit that would have delayed something."""
    delays = list(delays)
    lines = [_sentence(each) for each in delays if each.delayed]
    quiet = len(delays) - len(lines)
    if quiet:
        lines.append(f"{quiet:,} changed limit{'' if quiet == 1 else 's'} would have delayed nothing")
    return lines


def _sentence(delay: Delay) -> str:
    named = ", ".join(delay.domains[:3]) + (f" and {len(delay.domains) - 3:,} more" if len(delay.domains) > 3 else "")
    longest = (
        f"{delay.longest_minutes:,} minutes"
        if delay.longest_minutes < 180
        else f"{delay.longest_minutes // 60:,} hours"
    )
    return (
        f"{named}: {delay.per_hour:,} an hour would have delayed {delay.delayed:,} of {delay.attempts:,} attempts"
        f" in {delay.hours:,} hour{'' if delay.hours == 1 else 's'}, by {longest} at most;"
        f" it leaves {delay.left_percent} % of the last day's busiest hour"
    )
