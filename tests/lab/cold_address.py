"""A new address: on a plan, by the product's decisions, and with all of its mail from the first day on."""

import random
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from ippools import warm_ups
from ippools.models import IPAddress, WarmUp, WarmUpDay
from nodes.policy.model import Overlay
from stats import warm_up
from tests.cast import SYSTEM, make_tenant
from tests.lab import panel as panels
from tests.lab.panel import Panel, moment
from tests.lab.receivers import BLOCKED, DAY, HOUR, Mailbox, Receiver, Reply, read
from tests.lab.story import Story
from throttling import warmup
from throttling.domains import patterns_matching
from throttling.models import WarmUpPlan
from throttling.warmup import Counts, Day

ADDRESS = "192.0.2.1"
# The overlay is read so often; nodes ask every ten seconds.
STEP = 20 * 60
# So many warm-ups are decided without receivers, and each for so many days at the most.
RUNS = 200
IN_TIME = 0.95
LONGEST = 120
# Each date is decided at 20 past the hour.
DECIDED_AT = 20 * 60


def run(given: Mapping[str, Any], *, seed: int, days: int | None) -> Story:
    """Run the scenario for its days, or for `days`."""
    days = days or given["days"]
    story = Story()
    plan = WarmUpPlan.objects.get(name=given["plan"])
    with_plan, warm_after = _with_plan(given, plan, seed, days, story)
    without = _without_plan(given, seed, days)
    for told, found in (("without a plan", without), ("with the plan", with_plan)):
        story.tell(
            f"{told}: {found.total['sent']:,} accepted, {found.total['deferred']:,} deferred, {found.total['bounced']:,} "
            f"refused; blocked on {len(found.blocked)} of {days} days"
        )
    bounds, planned = given["bounds"], len(plan.days)
    most = bounds["days_to_warm_in_plans"] * planned
    took = sorted(_days_by_decision(given, plan, random.Random(f"{seed} {number}")) for number in range(RUNS))
    late = sum(each > most for each in took)
    story.tell(
        f"the decision alone, where nothing is blocked, with {RUNS} other dice: warm after {took[RUNS // 2]} days at the "
        f"median, {took[RUNS * 9 // 10]} at the 90th percentile; in {late} after more than {most:.1f}"
    )
    story.figures |= {
        "blocked_with": len(with_plan.blocked),
        "blocked_without": len(without.blocked),
        "warm_after": warm_after or 0,
    }
    story.expect(
        f"blocked days with the plan: {bounds['blocked_days_with_plan']}",
        len(with_plan.blocked),
        holds=len(with_plan.blocked) <= bounds["blocked_days_with_plan"],
    )
    story.expect(
        f"blocked days without a plan: at least {bounds['blocked_days_without_at_least']}",
        len(without.blocked),
        holds=len(without.blocked) >= bounds["blocked_days_without_at_least"],
    )
    story.expect(
        f"warm after at most {most:.1f} days ({bounds['days_to_warm_in_plans']} times the plan’s {planned})",
        "not warm" if warm_after is None else f"{warm_after} days",
        holds=warm_after is not None and warm_after <= most,
    )
    story.expect(
        f"of {RUNS} warm-ups by the decision alone, in time: at least {IN_TIME:.0%}",
        RUNS - late,
        holds=RUNS - late >= IN_TIME * RUNS,
    )
    return story


class _Outcome:
    """What receivers answered, and the days on which one of them blocked the address."""

    def __init__(self) -> None:
        self.total: Counter[str] = Counter()
        self.blocked: set[int] = set()

    def add(self, at: float, reply: Reply) -> None:
        self.total[reply.word] += 1
        if reply is BLOCKED:
            self.blocked.add(int(at // DAY))


class _Fleet:
    """The senders' mail: recipients of all receivers by their shares, some of whom do not exist or complain."""

    def __init__(self, given: Mapping[str, Any], seed: int) -> None:
        self._given = given
        self._dice = random.Random(f"mail {seed}")
        self.receivers = [Receiver(read(each), random.Random(f"{each['name']} {seed}")) for each in given["receivers"]]
        self._owed = [0.0 for _ in self.receivers]

    def step(
        self, begin: int, seconds: int, limits: Mapping[str, int | None]
    ) -> Iterator[tuple[float, Receiver, Reply]]:
        """Yield the attempts of some seconds. `limits` are messages an hour by domain; None: nothing leaves; 0: unlimited."""
        for index, receiver in enumerate(self.receivers):
            wanted = self._given["messages_per_day"] / 24 * receiver.habits.share
            limit = limits.get(receiver.habits.domain, 0)
            if limit is None:
                continue
            self._owed[index] += (min(wanted, limit) if limit else wanted) * seconds / HOUR
            number = int(self._owed[index])
            self._owed[index] -= number
            for position in range(number):
                at = begin + seconds * position / number
                yield at, receiver, receiver.answer(ADDRESS, at, self._mailbox())

    def _mailbox(self) -> Mailbox:
        thrown = self._dice.random()
        if thrown < self._given["unknown_users"]:
            return Mailbox.UNKNOWN
        return Mailbox.COMPLAINS if thrown > 1 - self._given["complaints"] else Mailbox.GOOD


def _without_plan(given: Mapping[str, Any], seed: int, days: int) -> _Outcome:
    fleet, outcome = _Fleet(given, seed), _Outcome()
    for begin in range(0, days * DAY, STEP):
        for at, _, reply in fleet.step(begin, STEP, {}):
            outcome.add(at, reply)
    return outcome


def _with_plan(
    given: Mapping[str, Any], plan: WarmUpPlan, seed: int, days: int, story: Story
) -> tuple[_Outcome, int | None]:
    """Return the outcome, and after how many days the address was warm; None: it was not."""
    tenant = make_tenant("Acme", ADDRESS)
    [address] = tenant.addresses
    warming = warm_ups.begin(address_id=address.pk, plan_id=plan.pk, on=moment(0).date(), at=moment(0), actor=SYSTEM)
    warm_up.decide(now=moment(0))
    fleet, outcome, panel = _Fleet(given, seed), _Outcome(), Panel(random.Random(f"reports {seed}"))
    domains = [receiver.habits.domain for receiver in fleet.receivers]
    warm_after = None
    for begin in range(0, days * DAY, STEP):
        if begin % DAY == DECIDED_AT and warm_after is None:
            warm_up.decide(now=moment(begin))
            warming.refresh_from_db()
            if warming.is_warm:
                warm_after = begin // DAY
        # Once it is warm, nothing more is decided, and its mail needs no counting.
        limits = _limits(address, domains, begin) if warm_after is None else {}
        for at, receiver, reply in fleet.step(begin, STEP, limits):
            outcome.add(at, reply)
            if warm_after is None:
                panel.note(tenant, ADDRESS, at, reply, receiver.habits.domain)
        if warm_after is None:
            panel.receive(begin + STEP)
            panel.fold(begin + STEP)
    _tell(warming, warm_after, story)
    return outcome, warm_after


def _days_by_decision(given: Mapping[str, Any], plan: WarmUpPlan, dice: random.Random) -> int:
    """Return the days of a warm-up where receivers take all mail: only unknown mailboxes and complaints decide."""
    value = plan.value()
    day: Day | None = warmup.first_day(value)
    number = 0
    while day is not None and number < LONGEST:
        number += 1
        happened = {}
        for each in given["receivers"]:
            attempts = int(day.cap * each["share"])
            bounced = dice.binomialvariate(attempts, given["unknown_users"])
            complaint = dice.binomialvariate(attempts - bounced, given["complaints"])
            happened[each["provider"]] = Counts(sent=attempts - bounced, bounced=bounced, complaint=complaint)
        day = warmup.next_day(value, day, happened)
    return number


def _limits(address: IPAddress, domains: Collection[str], at: float) -> dict[str, int | None]:
    """Return what a node lets leave an hour for each domain; None where the address rests."""
    found = panels.overlay([address], at)
    return {
        domain: None if _rests(found, address, domain) else panels.limit(address, found, domain, at)
        for domain in domains
    }


def _rests(found: Overlay, address: IPAddress, domain: str) -> bool:
    matching = set(patterns_matching(domain))
    resting = (rest for rest in found.resting if rest.source == address.pk)
    return any(not rest.domains or not matching.isdisjoint(rest.domains) for rest in resting)


def _tell(warming: WarmUp, warm_after: int | None, story: Story) -> None:
    sent = warm_up.sent_by_day(warming.address_id, moment(0).date(), moment(400 * DAY).date())
    for day in WarmUpDay.objects.filter(warm_up=warming).order_by("on"):
        story.tell(f"{day.on:%-d %B}  cap {day.cap:>7,}  sent {sent.get(day.on, 0):>7,}  {day.reason}")
    if warm_after is not None:
        story.tell(f"warm after {warm_after} days")
