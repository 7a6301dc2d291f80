"""A pool on one node that obeys what is published, in virtual time, with the decisions of the product."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from alerts import conditions, measures
from alerts.scope import PLATFORM
from core.references import Reference
from ippools import drains, ip_addresses
from ippools.models import AddressCap, AddressDrain
from nodes import healing, publishing, texts
from nodes.nodes import create_node
from nodes.policy import documents
from nodes.policy.flat import Flat, Limit, limit_tables, pool_table
from nodes.policy.model import Overlay, Policy
from nodes.policy.read import read_overlay
from nodes.policy.shares import Entry
from stats import programs
from tests.cast import SYSTEM, make_tenant
from tests.lab.fleet import Attempt
from tests.lab.panel import OBEYED_AFTER, Panel, moment
from throttling import templates
from throttling.drain import Effect, Mode
from throttling.models import ThrottleProgram

MINUTE = 60
FOLDED_EACH = 5 * MINUTE
LOOKED_AT_EACH = 10 * MINUTE
# What was so before the incident, and what all invented tenants have, is no news.
NO_NEWS = frozenset({"domain_unverified", "domain_dns", "node_failing", "server_silent", "server_without_pool"})


@dataclass(frozen=True, slots=True)
class Obeyed:
    """What a node does: the limit of each address by domain, and by which addresses mail leaves."""

    limits: Mapping[str, Flat[Limit]]
    draw: Flat[tuple[Entry, ...]]
    names: Mapping[int, str]

    def limit(self, address: str, domain: str) -> tuple[int, int]:
        """Return messages an hour and connections; 0 is unlimited."""
        found = self.limits[address].of(domain)
        return found.per_hour, found.connections

    def drawn(self, domain: str) -> Mapping[str, int]:
        """Return the addresses that mail for a domain is drawn from, with their weights."""
        return {self.names[each.source]: each.weight for each in self.draw.of(domain) if not each.rests}


class Platform:
    """A pool that may drain, with the program on its template's rules, on one node."""

    def __init__(self, given: Mapping[str, Any], panel: Panel, tell: Callable[[float, str], None]) -> None:
        self.panel, self._tell = panel, tell
        self.tenant = make_tenant("Acme", *given["addresses"])
        assert self.tenant.pool is not None
        self._pool = self.tenant.pool.pk
        self._names = {each.pk: each.ipv4 for each in self.tenant.addresses}
        self._connections: int = given["connections"]
        self._program = ThrottleProgram.objects.get(name=given["program"])
        drains.configure(self._pool, mode=Mode(given["draining"]), share=30, actor=SYSTEM)
        self._template = templates.create(
            name="Of the pool",
            max_concurrent_connections=0,
            max_messages_per_hour=0,
            rules=self._rules(given["limits"]),
            actor=SYSTEM,
        ).pk
        for address in self.tenant.addresses:
            ip_addresses.change(address.pk, template=Reference(self._template), actor=SYSTEM)
        create_node(name="mta1", kind="haraka", addresses=list(given["addresses"]), actor=SYSTEM)
        self._published: list[int] = []
        self._policy = self.publish(0)
        self._said: deque[tuple[float, Policy, Overlay]] = deque()
        self._obeyed: tuple[Policy, Overlay] = (self._policy, self._overlay(0))
        self.node = self._made()
        self._told: set[str] = set()
        self._drains: dict[int, str] = {}
        self.most_drained = 0
        self.changes: list[tuple[float, str]] = []

    # What the operator does

    def change_limits(self, limits: Mapping[str, int], at: float) -> None:
        """Change the template, and publish it."""
        rules = {each["domains"][0]: each for each in self._rules(limits)}
        held = templates.ThrottlingTemplate.objects.get(pk=self._template).rules.rules.all()
        given = [{"id": rule.pk, **rules[rule.domains.get().pattern]} for rule in held]
        templates.change(self._template, rules=given, actor=SYSTEM)
        self._policy = self.publish(at)

    def roll_back(self, at: float) -> None:
        """Publish the revision before the newest again."""
        publishing.roll_back(number=self._published[-2], actor=SYSTEM, now=moment(at))
        self._policy = self._newest()

    def publish(self, at: float) -> Policy:
        """Publish the configuration, and return what the node gets."""
        self._published.append(publishing.publish(actor=SYSTEM, now=moment(at)).number)
        return self._newest()

    # What the product does

    def note(self, attempt: Attempt) -> None:
        """Let an attempt be reported."""
        self.panel.note(self.tenant, attempt.address, attempt.at, attempt.reply, attempt.receiver.habits.domain)

    def decide(self, at: int) -> None:
        """Receive and decide, as the worker does; then the node asks."""
        self.panel.receive(at)
        decided = programs.decide(now=moment(at))
        if decided.began or decided.extended or decided.ended:
            self._tell_caps(decided, at)
        if at % FOLDED_EACH == 0:
            self.panel.fold(at)
        if at % MINUTE == 0:
            healing.decide(now=moment(at))
            self._tell_drains(at)
        if at % LOOKED_AT_EACH == 0:
            self._look(at)
        self._said.append((at + OBEYED_AFTER, self._policy, self._overlay(at)))
        while self._said and self._said[0][0] <= at:
            _, *said = self._said.popleft()
            if said != list(self._obeyed):
                self._obeyed = (said[0], said[1])
                self.node = self._made()

    def _overlay(self, at: float) -> Overlay:
        return read_overlay(virtual_mtas=list(self._names), servers={}, at=moment(at))

    def _made(self) -> Obeyed:
        policy, overlay = self._obeyed
        limits = limit_tables(policy, overlay.caps)
        return Obeyed(
            {name: limits[pk] for pk, name in self._names.items()}, pool_table(policy, self._pool, overlay), self._names
        )

    def _newest(self) -> Policy:
        revision = publishing.Revision.objects.latest("number")
        [row] = publishing.policies_in(revision).values()
        return documents.from_json(texts.load([row.policy])[row.policy])

    def _rules(self, limits: Mapping[str, int]) -> Sequence[Any]:
        return [
            {
                "domains": [domain],
                "max_concurrent_connections": self._connections,
                "max_messages_per_hour": an_hour,
                "throttle_program": Reference(self._program.pk),
            }
            for domain, an_hour in limits.items()
        ]

    # What the operator sees

    def _tell_caps(self, decided: programs.Decided, at: float) -> None:
        if decided.began or decided.extended:
            caps = AddressCap.objects.active(moment(at)).filter(rule__isnull=False).order_by("-pk")
            word = "began" if decided.began else "was extended"
            for cap in caps[: decided.began + decided.extended]:
                assert cap.rule is not None
                domain = cap.rule.domains.get().pattern
                self.changes.append((at, word))
                self._tell(
                    at, f"back-off {word}: {cap.address} at {domain}, {cap.max_messages_per_hour} an hour. {cap.reason}"
                )
        if decided.ended:
            self._tell(at, f"back-off ended: {decided.ended}")

    def _tell_drains(self, at: float) -> None:
        drained = 0
        for row in AddressDrain.objects.select_related("address").order_by("pk"):
            word = "restored" if row.ended_at else str(row.effect)
            drained += word == Effect.DRAINED.value
            if self._drains.get(row.pk) != word:
                self._drains[row.pk] = word
                self.changes.append((at, word))
                scope = f" for {', '.join(row.providers)}" if row.providers else ""
                self._tell(at, f"{row.address.ipv4} {word}{scope}: {row.ended_because if row.ended_at else row.reason}")
        self.most_drained = max(self.most_drained, drained)

    def _look(self, at: float) -> None:
        now = moment(at)
        for item in conditions.found(PLATFORM, measures.measure(PLATFORM, now, worst=4), now):
            if item.condition not in NO_NEWS and item.key not in self._told:
                self._told.add(item.key)
                if at:
                    self._tell(at, f"the dashboard says: {item.text}")
