"""Postfix's files, held by what a Postfix would do with them: the same addresses, weights and limits as the policy."""

from fractions import Fraction
from random import Random
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodes.policy import postfix, postfix_transports
from nodes.policy.flat import Flat
from nodes.policy.model import (
    NodeIdentity,
    Overlay,
    Policy,
    Pool,
    Rest,
    SmtpKey,
    Source,
    Table,
    VirtualMTA,
)
from nodes.policy.postfix import compile_policy
from nodes.policy.postfix_transports import Shards, shards
from nodes.policy.shares import draw, entries
from tests.examples import examples
from tests.nodes.postfix_files import Instance, Leaving
from tests.nodes.random_policies import DOMAINS, random_pauses, random_policy
from throttling.limits import EffectiveLimits, LimitRule, effective

RULES = (
    LimitRule(102, ("gmail.com", "[*.]hosted.example"), 4, 500),
    LimitRule(103, ("*.slow.example",), 3, 0),
)


def small(*pools: Pool, default: tuple[int, int] = (5, 0), **more: object) -> Policy:
    return Policy(
        node=NodeIdentity(1, "mta1", "postfix"),
        revision=812,
        sources=tuple(
            Source(number, f"203.0.113.{number}", None, f"mta{number}.example.net", number, 50) for number in (11, 12)
        ),
        virtual_mtas=(VirtualMTA(11, "one", "ip_address", 100), VirtualMTA(12, "two", "ip_address", 50)),
        tables=(Table(11, (), None, None), Table(12, (), None, None), Table(50, RULES, *default)),
        pools=pools or (Pool(7, "Pool", (11, 12)),),
        **more,  # type: ignore[arg-type]
    )


def same_as_asked(policy: Policy, paused: tuple[int, ...]) -> None:
    """Assert that the files do what the policy says, for every pool and domain."""
    compiled = compile_policy(policy, Overlay(paused=paused))
    codes = {finding.code for finding in compiled.fidelity}
    uses: list[Use] = []
    for pool in policy.pools:
        instance = Instance(compiled.files, f"pool-{pool.id}")
        for domain in DOMAINS:
            found = instance.leaving(domain)
            asked = draw(entries(policy, pool.id, domain), paused)
            same_addresses(policy, asked, found, codes)
            for number in asked:
                source = policy.source_of[number]
                if source.ipv4 in found:
                    limit = limit_of(policy, source, domain)
                    within_limits(limit, found[source.ipv4], pools_of(policy, number), codes)
                    uses.append(Use(source.ipv4, pool.id, domain, limit, found[source.ipv4]))
    for counter in {use.counter for use in uses}:
        same_counter([use for use in uses if use.counter == counter], codes)


class Use(NamedTuple):
    """That a pool sends to a domain by an address."""

    ip: str
    pool: int
    domain: str
    limit: EffectiveLimits
    leaving: Leaving

    @property
    def counter(self) -> tuple[str, int | str]:
        return self.ip, self.limit.rule.id if self.limit.rule else self.domain


def same_addresses(policy: Policy, asked: dict[int, Fraction], found: dict[str, Leaving], codes: set[str]) -> None:
    shares = {policy.source_of[number].ipv4: share for number, share in asked.items()}
    if any(pools_of(policy, number) > 1 for number in asked):
        # A limit that has fewer parts than pools leaves an address out of some.
        assert set(found) <= set(shares)
        return
    assert set(found) == set(shares)
    tolerance = Fraction(1, 500) if "weights_rounded" in codes else 0
    for ip, share in shares.items():
        assert abs(found[ip].share - share) <= tolerance


def same_counter(uses: list[Use], codes: set[str]) -> None:
    """Assert that all pools and domains of one counter are together within its limit."""
    limit = uses[0].limit
    by_pool = {use.pool: use.leaving for use in uses}
    if limit.max_concurrent_connections:
        assert sum(each.connections for each in by_pool.values()) <= limit.max_concurrent_connections
    if limit.max_messages_per_hour:
        assert sum(each.per_hour for each in by_pool.values()) <= limit.max_messages_per_hour
    for pool in by_pool:
        # The domains of a rule share its counter: the same transports, wherever the rule wins.
        counters = {use.leaving.counters for use in uses if use.pool == pool}
        assert len(counters) == 1 or "weights_rounded" in codes


def pools_of(policy: Policy, source: int) -> int:
    return sum(
        any(entry.source == source for domain in DOMAINS for entry in entries(policy, pool.id, domain))
        for pool in policy.pools
    )


def limit_of(policy: Policy, source: Source, domain: str) -> EffectiveLimits:
    return effective((policy.limit_table_of[source.own], policy.limit_table_of[source.template]), (), domain)


def within_limits(limit: EffectiveLimits, found: Leaving, pools: int, codes: set[str]) -> None:
    connections, per_hour = limit.max_concurrent_connections, limit.max_messages_per_hour
    if connections:
        assert 1 <= found.connections <= connections
        if not per_hour and pools < 2:
            assert found.connections == connections
    elif not per_hour:
        assert found.connections >= 20
    if not per_hour:
        assert found.per_hour is None
        return
    assert 0 < found.per_hour <= per_hour
    assert found.is_by_domain == (limit.rule is None)
    if "weights_rounded" in codes:
        # An address with a small share may have less shards than it needs.
        return
    if pools < 2 and "hourly_limit_cut" not in codes:
        assert found.per_hour >= Fraction(4, 5) * per_hour
    if pools < 2 and found.per_hour < Fraction(4, 5) * per_hour:
        # Only where the connections do not suffice for whole seconds.
        assert found.connections == connections


@given(st.randoms(use_true_random=False))
@settings(max_examples=examples(50), deadline=None)
def test_the_files_do_what_the_policy_says(random: Random) -> None:
    policy = random_policy(random)
    same_as_asked(policy, random_pauses(random, policy))


@given(st.randoms(use_true_random=False))
@settings(max_examples=examples(7), deadline=None)
def test_the_same_policy_gives_the_same_bytes(random: Random) -> None:
    policy = random_policy(random)

    assert compile_policy(policy, Overlay()) == compile_policy(policy, Overlay())
    assert list(compile_policy(policy, Overlay()).files) == sorted(compile_policy(policy, Overlay()).files)


def test_250_rules_with_wildcards_both_ways() -> None:
    random = Random(15)
    rules = tuple(
        LimitRule(
            1000 + number,
            (f"{('', '*.', '[*.]')[number % 3]}{'x.' * (number % 2)}d{number // 3}.example",),
            random.choice((0, 3, 20)),
            random.choice((0, 60, 500)),
        )
        for number in range(250)
    )
    policy = Policy(
        node=NodeIdentity(1, "mta1", "postfix"),
        revision=1,
        sources=(Source(11, "203.0.113.11", None, "mta1.example.net", 11, 50),),
        virtual_mtas=(VirtualMTA(11, "one", "ip_address", 100),),
        tables=(Table(11, (), None, None), Table(50, rules, 5, 100)),
        pools=(Pool(7, "Pool", (11,)),),
    )
    instance = Instance(compile_policy(policy, Overlay()).files, "pool-7")

    for number in range(84):
        for domain in (f"d{number}.example", f"x.d{number}.example", f"y.x.d{number}.example", f"y.d{number}.example"):
            limit = limit_of(policy, policy.sources[0], domain)
            within_limits(limit, instance.leaving(domain)["203.0.113.11"], 1, set())


BREAKAGES = {
    "subdomains are taken for the domain itself": lambda monkeypatch: monkeypatch.setattr(
        postfix_transports.Draws,
        "maps",
        lambda self: {name: text.replace("\n.", "\n") for name, text in MAPS(self).items()},
    ),
    "only exact names are written": lambda monkeypatch: monkeypatch.setattr(
        postfix, "joint_table", lambda *args: Flat(JOINT(*args).exact, {}, JOINT(*args).default)
    ),
    "weights are forgotten": lambda monkeypatch: monkeypatch.setattr(
        postfix_transports,
        "draw",
        lambda found, paused: {source: Fraction(1, len(DRAW(found, paused))) for source in DRAW(found, paused)},
    ),
    "pauses are forgotten": lambda monkeypatch: monkeypatch.setattr(
        postfix_transports, "draw", lambda found, paused: DRAW(found, ())
    ),
    "a shard's delay is rounded down": lambda monkeypatch: monkeypatch.setattr(
        postfix_transports, "ceil", lambda value: max(1, int(value))
    ),
    "pools do not divide": lambda monkeypatch: monkeypatch.setattr(
        postfix_transports.Allotment, "share", lambda self, pool, source, limit: limit
    ),
    "connections are doubled": lambda monkeypatch: monkeypatch.setattr(
        postfix_transports, "_processes", lambda limit: 2 * PROCESSES(limit)
    ),
}
MAPS, JOINT, DRAW, PROCESSES = (
    postfix_transports.Draws.maps,
    postfix.joint_table,
    postfix_transports.draw,
    postfix_transports._processes,
)


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_a_broken_compiler_is_found(breakage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    BREAKAGES[breakage](monkeypatch)

    with pytest.raises(AssertionError):
        all_the_same(range(300))


def all_the_same(seeds: range) -> None:
    for seed in seeds:
        policy = random_policy(Random(seed))
        same_as_asked(policy, random_pauses(Random(seed), policy))


@pytest.mark.parametrize(
    ("per_hour", "connections", "expected"),
    [
        (500, 0, Shards(1, 8)),
        (3600, 0, Shards(2, 2)),
        (4000, 3, Shards(3, 3)),
        (36_000, 0, Shards(20, 2)),
        (36_000, 2, Shards(2, 1)),
        (1, 1, Shards(1, 3600)),
        (7, 0, Shards(1, 515)),
    ],
)
def test_an_hourly_limit_is_k_transports_of_a_delay(per_hour: int, connections: int, expected: Shards) -> None:
    assert shards(per_hour, connections) == expected


@given(st.integers(1, 360_000), st.integers(0, 200))
@settings(max_examples=examples(100), deadline=None)
def test_shards_never_exceed_the_limit_and_reach_four_fifths_of_it(per_hour: int, connections: int) -> None:
    found = shards(per_hour, connections)

    assert found.per_hour <= per_hour
    assert not connections or found.count <= connections
    if not connections or connections >= 100:
        assert found.per_hour >= Fraction(4, 5) * per_hour


def test_an_address_that_rests_leaves_its_mail_to_the_others() -> None:
    policy = small(Pool(7, "Pool", (11, 12)), Pool(8, "Alone", (11,)))

    def shares_with(overlay: Overlay, pool: int, domain: str) -> dict[str, Fraction]:
        leaving = Instance(compile_policy(policy, overlay).files, f"pool-{pool}").leaving(domain)
        return {address: each.share for address, each in leaving.items()}

    def drawn(overlay: Overlay, pool: int, domain: str) -> set[str]:
        return set(shares_with(overlay, pool, domain))

    both = drawn(Overlay(), 7, "a.example")
    [alone] = drawn(Overlay(), 8, "a.example")
    [other] = both - {alone}
    rests = Overlay(resting=(Rest(11),))
    # Alone in its pool: the mail waits.
    assert (drawn(rests, 7, "a.example"), drawn(rests, 8, "a.example")) == ({other}, set())
    some = Overlay(resting=(Rest(11, ("[*.]yahoo.com",)),))
    assert (drawn(some, 7, "yahoo.com"), drawn(some, 7, "a.yahoo.com"), drawn(some, 7, "x.example")) == (
        {other}, {other}, both,
    )  # fmt: skip
    assert drawn(Overlay(paused=(12,), resting=(Rest(11),)), 7, "a.example") == set()
    # No transport goes: mail that has it already is sent by it.
    services = [
        Instance(compile_policy(policy, each).files, "pool-7").services.keys() for each in (Overlay(), rests, some)
    ]
    assert services[0] == services[1] == services[2]


def test_all_addresses_paused_means_that_mail_waits() -> None:
    instance = Instance(compile_policy(small(), Overlay(paused=(11, 12))).files, "pool-7")

    assert instance.leaving("gmail.com") == {}
    assert instance.transports("gmail.com") == {"waiting": 1}
    assert instance.settings["defer_transports"] == "waiting"


def test_credentials_change_no_file() -> None:
    assert compile_policy(small(), Overlay(keys=(SmtpKey(1, "a" * 64, "acme/mail"),))) == compile_policy(
        small(), Overlay()
    )


def test_every_file_says_its_revision_and_the_findings_what_is_stricter() -> None:
    compiled = compile_policy(small(Pool(7, "Pool", (11, 12)), Pool(8, "Other", (12,))), Overlay())

    assert all(text.startswith("# Sluice revision 812 for node mta1\n") for text in compiled.files.values())
    assert {(each.code, each.count, each.about) for each in compiled.fidelity} == {
        ("divided_between_pools", 1, ("203.0.113.12",)),
        ("hourly_limit_rounded", 2, ("203.0.113.11 to gmail.com and 1 more", "203.0.113.12 to gmail.com and 1 more")),
    }
    assert compiled.sources["a11-r102"].ip == "203.0.113.11"
