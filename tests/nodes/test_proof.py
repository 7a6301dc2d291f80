"""The compiled files mean what the policy means: for each target, an evaluator that knows the files alone agrees with
`limits.effective` on every question; and a compiler that is broken is found out.
"""

import dataclasses
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from nodes.policy import flat, haraka, kumomta, powermta, shares
from nodes.policy.flat import Flat, Limit
from nodes.policy.model import Overlay, Policy, Tenant
from nodes.policy.shares import Entry
from tests.examples import examples
from tests.nodes.policies import ADDRESSES, DOMAINS, Case, cases
from tests.nodes.read_haraka import Haraka
from tests.nodes.read_kumomta import LUA, KumoMTA
from tests.nodes.read_powermta import PowerMTA
from tests.nodes.slow import REFUSED, Limits, Outcome, outcome, pool_of

QUESTIONS = st.lists(st.tuples(st.sampled_from(ADDRESSES), DOMAINS), min_size=1, max_size=12)
ONE_ADDRESS = st.sampled_from(["ann", "Bob", "bob+news"])


def asked(case: Case, questions: list[tuple[str, str]], name: str) -> list[tuple[Tenant, str, str, Outcome]]:
    return [
        (tenant, sender, f"{name}@{domain}", outcome(case.policy, case.overlay, tenant, sender, f"{name}@{domain}"))
        for sender, domain in questions
        for tenant in case.policy.tenants
    ]


def differences_of_haraka(case: Case, questions: list[tuple[str, str]], name: str) -> list[object]:
    target = Haraka(haraka.compile_policy(case.policy, Overlay()), case.overlay)
    return [
        (tenant.name, sender, recipient, expected, found)
        for tenant, sender, recipient, expected in asked(case, questions, name)
        if (found := target.outcome(tenant.name, sender, recipient)) != expected
    ]


@settings(max_examples=examples(20))
@given(cases(), QUESTIONS, ONE_ADDRESS)
def test_haraka(case: Case, questions: list[tuple[str, str]], name: str) -> None:
    assert differences_of_haraka(case, questions, name) == []


@pytest.mark.skipif(LUA is None, reason="No Lua here: KumoMTA's policy is not run")
@settings(max_examples=examples(10), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=cases(), questions=QUESTIONS, name=ONE_ADDRESS)
def test_kumomta(case: Case, questions: list[tuple[str, str]], name: str, tmp_path: Path) -> None:
    target = KumoMTA(kumomta.compile_policy(case.policy, case.overlay), case.overlay)
    wanted = asked(case, questions, name)
    found = target.outcomes([(tenant.name, sender, recipient) for tenant, sender, recipient, _ in wanted], tmp_path)
    for (tenant, sender, recipient, expected), answer in zip(wanted, found, strict=True):
        # A counter of a rule without limits is not written down.
        limits = {
            ip: limit if limit.connections or limit.per_hour else Limits(0, 0, 0)
            for ip, limit in expected.limits.items()
        }
        assert answer == dataclasses.replace(expected, limits=limits), (tenant.name, sender, recipient)


@settings(max_examples=examples(20))
@given(cases(), QUESTIONS, ONE_ADDRESS)
def test_powermta(case: Case, questions: list[tuple[str, str]], name: str) -> None:
    compiled = powermta.compile_policy(case.policy, case.overlay)
    codes = {finding.code for finding in compiled.fidelity}
    target = PowerMTA(compiled, case.overlay)
    for tenant, sender, recipient, expected in asked(case, questions, name):
        found = target.outcome(tenant.name, sender, recipient)
        if "pause" in codes or "pool_rule_both" in codes or "pool_rule_domains" in codes:
            continue
        if {"pool_elsewhere", "domains_elsewhere"} & codes or tenant.pool is None:
            # What cannot leave from here is refused, or leaves by what the server has here: both are said.
            continue
        assert found.is_refused == expected.is_refused or not expected.shares, (tenant.name, sender, recipient)
        if found == REFUSED or not expected.shares:
            continue
        assert found.shares.keys() == expected.shares.keys(), (tenant.name, sender, recipient)
        assert {ip: (limit.connections, limit.per_hour) for ip, limit in found.limits.items()} == {
            ip: (limit.connections, limit.per_hour) for ip, limit in expected.limits.items()
        }
        if "weights" not in codes:
            assert found.shares == expected.shares


# --- Compilers that are broken ---------------------------------------------------------------------------------------


def exact_also_below(table: Flat[Limit]) -> Flat[Limit]:
    return Flat(table.exact, {**table.exact, **table.below}, table.default)


def patterns_rule_by_rule(policy: Policy, caps: object = None) -> dict[int, Flat[Limit]]:
    """Translate each rule by itself, the template's last: what a compiler must not do."""
    found = {}
    for source in policy.sources:
        exact: dict[str, Limit] = {}
        below: dict[str, Limit] = {}
        for number in (source.own, source.template):
            for rule in next(table for table in policy.tables if table.id == number).rules:
                limit = Limit(rule.id, rule.max_concurrent_connections, rule.max_messages_per_hour)
                for pattern in rule.domains:
                    name = pattern.removeprefix("[*.]").removeprefix("*.")
                    if not pattern.startswith("*."):
                        exact[name] = limit
                    if pattern.startswith(("*.", "[*.]")):
                        below[name] = limit
        found[source.id] = Flat(exact, below, REAL_LIMITS(policy)[source.id].default)
    return found


REAL_LIMITS = flat.limit_tables
REAL_POOLS = flat.pool_table


def without_own_default(policy: Policy, caps: object = None) -> dict[int, Flat[Limit]]:
    tables = tuple(
        dataclasses.replace(table, max_concurrent_connections=None, max_messages_per_hour=None)
        if table.id >= 10
        else table
        for table in policy.tables
    )
    return REAL_LIMITS(dataclasses.replace(policy, tables=tables))


def with_equal_weights(policy: Policy, pool: int) -> Flat[tuple[Entry, ...]]:
    table = REAL_POOLS(policy, pool)

    def equal(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
        return tuple(dataclasses.replace(entry, weight=1) for entry in entries)

    exact, below = ({name: equal(each) for name, each in part.items()} for part in (table.exact, table.below))
    return Flat(exact, below, equal(table.default))


def without_pauses_of_origins(policy: Policy, pool: int) -> Flat[tuple[Entry, ...]]:
    table = REAL_POOLS(policy, pool)

    def forgetful(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
        return tuple(dataclasses.replace(entry, unless=()) for entry in entries)

    exact, below = ({name: forgetful(each) for name, each in part.items()} for part in (table.exact, table.below))
    return Flat(exact, below, forgetful(table.default))


def without_redirects(policy: Policy, pool: int) -> Flat[tuple[Entry, ...]]:
    virtual_mtas = tuple(mta for mta in policy.virtual_mtas if mta.redirect is None)
    pools = tuple(
        dataclasses.replace(each, members=tuple(pk for pk in each.members if pk in {mta.id for mta in virtual_mtas}))
        for each in policy.pools
    )
    return REAL_POOLS(dataclasses.replace(policy, virtual_mtas=virtual_mtas, pools=pools), pool)


class FoundOut(Exception):
    pass


BROKEN: dict[str, tuple[str, Callable[..., object]]] = {
    "a rule for a domain holds for its subdomains, too": (
        "limit_tables",
        lambda policy, caps=None: {pk: exact_also_below(table) for pk, table in REAL_LIMITS(policy).items()},
    ),
    "rules are translated one by one": ("limit_tables", patterns_rule_by_rule),
    "an address's own default is forgotten": ("limit_tables", without_own_default),
    "weights are forgotten": ("pool_table", with_equal_weights),
    "a paused address still redirects": ("pool_table", without_pauses_of_origins),
    "redirects are forgotten": ("pool_table", without_redirects),
}


# A policy is long; a failure that is wanted need not be written down well.
@pytest.mark.filterwarnings("ignore:Generating overly large repr")
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_compiler_is_found_out(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    function, broken = BROKEN[name]
    monkeypatch.setattr(haraka, function, broken)

    # Only looked for, not made smaller: that takes long, and nobody reads it.
    @settings(max_examples=400, database=None, derandomize=True, phases=[Phase.generate], report_multiple_bugs=False)
    @given(cases(), QUESTIONS, ONE_ADDRESS)
    def look(case: Case, questions: list[tuple[str, str]], name: str) -> None:
        if differences_of_haraka(case, questions, name):
            raise FoundOut

    with pytest.raises(FoundOut):
        look()


# --- What every compiler promises ------------------------------------------------------------------------------------


@settings(max_examples=examples(5))
@given(cases())
@pytest.mark.parametrize("compiler", [haraka, kumomta, powermta])
def test_the_same_policy_gives_the_same_bytes(compiler, case: Case) -> None:
    first = compiler.compile_policy(case.policy, case.overlay)
    again = compiler.compile_policy(dataclasses.replace(case.policy), dataclasses.replace(case.overlay))
    assert first == again
    assert list(first.files) == list(again.files)
    assert list(first.sources.items()) == list(again.sources.items())
    for text in first.files.values():
        assert str(case.policy.revision) in text
        # A name with a line end does not end a comment.
        assert "\n--x" not in text


@settings(max_examples=examples(20))
@given(cases(), DOMAINS)
def test_shares_are_those_of_the_slow_way(case: Case, domain: str) -> None:
    for pool in case.policy.pools:
        tenant = Tenant(9, "", "acme/x", 1, pool.id)
        expected = outcome(
            case.policy,
            dataclasses.replace(case.overlay, suspended=(), deferred=(), resting=()),
            tenant,
            "",
            f"a@{domain}",
        )
        drawn = shares.draw(shares.entries(case.policy, pool.id, domain), case.overlay.paused)
        assert {case.policy.source_of[pk].ipv4: share for pk, share in drawn.items()} == expected.shares
        assert sum(drawn.values(), Fraction(0)) == (1 if drawn else 0)
        assert pool_of(tenant, "", "") == pool.id


@settings(max_examples=examples(10))
@given(cases(), DOMAINS)
def test_a_joint_table_says_both(case: Case, domain: str) -> None:
    limits = flat.limit_tables(case.policy)
    for pool in case.policy.pools:
        joint = flat.joint_table(case.policy, pool.id, limits).of(domain)
        assert [entry for entry, _ in joint] == list(shares.entries(case.policy, pool.id, domain))
        assert [limit for _, limit in joint] == [limits[entry.source].of(domain) for entry, _ in joint]
