"""What differs between two policies, by what it does."""

import dataclasses

from nodes.policy.meaning import Difference, DrawChange, LimitChange, difference, sentences
from nodes.policy.model import NodeIdentity, Policy, Pool, Source, Table, Tenant, VirtualMTA
from throttling.limits import LimitRule


def policy(*rules: LimitRule, default: tuple[int, int] = (0, 0), weights: tuple[int, ...] = (100, 100, 100)) -> Policy:
    """Three addresses of one template, in a pool of two customers' three servers."""
    return Policy(
        node=NodeIdentity(1, "mta1", "haraka"),
        revision=1,
        sources=tuple(Source(pk, f"192.0.2.{pk}", None, "mta", 10 + pk, 9) for pk in (1, 2, 3)),
        virtual_mtas=tuple(VirtualMTA(pk, f"w{pk}", "ip_address", weight) for pk, weight in enumerate(weights, 1)),
        tables=(Table(9, rules, *default), *(Table(10 + pk, (), None, None) for pk in (1, 2, 3))),
        pools=(Pool(1, "Shared", (1, 2, 3)), Pool(2, "Empty", ())),
        tenants=tuple(
            Tenant(pk, "", name, 1, pool)
            for pk, name, pool in ((1, "acme/a", 1), (2, "acme/b", 1), (3, "globex/c", 1), (4, "globex/d", 2))
        ),
    )


GMAIL = LimitRule(1, ("gmail.com",), 20, 12_000)
OTHERS = [LimitRule(number, (f"d{number}.example",), 1, 1) for number in range(2, 15)]


def test_the_issues_example():
    lower = dataclasses.replace(GMAIL, max_messages_per_hour=6_000)
    found = difference(policy(GMAIL, *OTHERS), policy(lower, *OTHERS))
    assert found == Difference(
        limits=(LimitChange("gmail.com", (20, 12_000), (20, 6_000), ("192.0.2.1", "192.0.2.2", "192.0.2.3")),),
        unchanged_patterns=14,
        concerned=("acme/a", "acme/b", "globex/c"),
    )
    assert sentences(found) == [
        "gmail.com on 3 addresses 12,000 → 6,000 an hour",
        "14 other patterns unchanged; 2 customers, 3 servers send there",
    ]
    assert not found.is_empty


def test_nothing_differs():
    found = difference(policy(GMAIL), policy(dataclasses.replace(GMAIL, id=77)))
    assert (found.is_empty, sentences(found)) == (True, [])


def test_a_rule_that_never_wins_changes_nothing():
    above = LimitRule(2, ("*.com",), 1, 1)
    assert sentences(difference(policy(GMAIL), policy(GMAIL, above))) == [
        "*.com on 3 addresses unlimited → 1 an hour, unlimited → 1 connections",
        "2 other patterns unchanged; 2 customers, 3 servers send there",
    ]
    hidden = difference(policy(GMAIL, above), policy(GMAIL, above, LimitRule(3, ("[*.]com",), 9, 9)))
    assert [change.pattern for change in hidden.limits] == ["com"]


def test_a_pattern_over_a_domain_and_its_subdomains_is_one_line():
    both = dataclasses.replace(GMAIL, domains=("[*.]gmail.com",))
    assert sentences(difference(policy(), policy(both)))[0] == (
        "[*.]gmail.com on 3 addresses unlimited → 12,000 an hour, unlimited → 20 connections"
    )


def test_a_default_and_weights():
    found = difference(policy(GMAIL), policy(GMAIL, default=(5, 0), weights=(100, 0, 50)))
    three = tuple((f"192.0.2.{pk}", 1) for pk in (1, 2, 3))
    assert found.draws == (
        DrawChange("Shared", "all other domains", three, (("192.0.2.1", 2), ("192.0.2.2", 0), ("192.0.2.3", 1))),
    )
    assert sentences(found) == [
        "all other domains on 3 addresses unlimited → 5 connections",
        "1 other pattern unchanged; 2 customers, 3 servers send there",
        "Pool Shared: 192.0.2.1 (1), 192.0.2.2 (1), 192.0.2.3 (1) → 192.0.2.1 (2), 192.0.2.2 (0), 192.0.2.3 (1)",
    ]


def test_who_comes_and_goes():
    before = policy(GMAIL)
    after = dataclasses.replace(
        before,
        sources=before.sources[1:],
        tenants=(
            dataclasses.replace(before.tenants[0], pool=2), *before.tenants[2:], Tenant(9, "", "new/x", 1, 1),
        ),
    )  # fmt: skip
    assert sentences(difference(before, after)) == [
        "Pool Shared: 192.0.2.1 (1), 192.0.2.2 (1), 192.0.2.3 (1) → 192.0.2.2 (1), 192.0.2.3 (1)",
        "Addresses that no longer send: 192.0.2.1",
        "New servers: new/x",
        "Servers that no longer send here: acme/b",
        "Servers with another pool, other rules or another mode: acme/a",
    ]
    assert sentences(difference(None, after))[0] == "New addresses: 192.0.2.2, 192.0.2.3"
