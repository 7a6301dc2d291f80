"""What the compiler writes is what the agent takes; what would stop mail is not."""

import ipaddress
from collections.abc import Callable
from random import Random

import agent_grammar
import pytest

from nodes.policy.compiled import Compiled
from nodes.policy.model import Overlay, Pool, PoolRule, Tenant
from nodes.policy.postfix import compile_policy
from tests.nodes.random_policies import random_pauses, random_policy
from tests.nodes.test_postfix import small

PRESENT = {ipaddress.ip_address(f"203.0.113.{number}") for number in range(1, 50)}


def sources(compiled: Compiled) -> dict[str, dict[str, object]]:
    return {tag: {"ip": each.ip, "rule": each.rule} for tag, each in compiled.sources.items()}


@pytest.mark.parametrize("seed", range(40))
def test_it_takes_what_the_compiler_writes(seed: int) -> None:
    policy = random_policy(Random(seed), most_pools=3)
    compiled = compile_policy(policy, Overlay(paused=random_pauses(Random(seed), policy)))

    agent_grammar.check(compiled.files, sources(compiled), PRESENT)


def test_it_takes_pool_rules() -> None:
    rules = (PoolRule(4, ("news@acme.example",), ("big.example",), 8), PoolRule(5, (), ("bob@else.example",), 7))
    compiled = compile_policy(
        small(Pool(7, "Pool", (11,)), Pool(8, "Other", (12,)), tenants=(Tenant(1, "u1", "acme/mail", 1, 7, rules),)),
        Overlay(),
    )

    agent_grammar.check(compiled.files, sources(compiled), PRESENT)


def swapped(name: str, old: str, new: str) -> Callable[[dict[str, str]], None]:
    def change(files: dict[str, str]) -> None:
        assert old in files[name]
        files[name] = files[name].replace(old, new)

    return change


def without_a_map(files: dict[str, str]) -> None:
    del files[next(name for name in files if name.startswith("pool-7/c-"))]


def with_another_file(files: dict[str, str]) -> None:
    files["../../etc/cron.d/evil"] = ""


MAIN, MASTER = "pool-7/main.cf", "pool-7/master.cf"
BROKEN: dict[str, tuple[Callable[[dict[str, str]], None], str]] = {
    "a misspelt parameter": (
        swapped(MAIN, "a11-r102-1_transport_rate_delay", "a11-r102-1_transport_rate_dealy"),
        "a11-r102-1_transport_rate_dealy is not a parameter of a policy",
    ),
    "a delay that is no number": (swapped(MAIN, "_rate_delay = 8s", "_rate_delay = abc"), "cannot be 'abc'"),
    "a delay that Postfix reads as 0": (swapped(MAIN, "_rate_delay = 8s", "_rate_delay = soon"), "cannot be 'soon'"),
    "a program that is not there": (swapped(MASTER, "300 1 qmgr", "300 1 qmgrr"), "is not a service of a policy"),
    "a service that is not there": (
        swapped(MASTER, "rewrite unix - - n - - trivial-rewrite\n", ""),
        "the service rewrite is missing",
    ),
    "a map that is not there": (without_a_map, "which is missing"),
    "a transport that is not there": (
        swapped(MAIN, "a11-r103:", "a11-r104:"),
        "names the transport a11-r104, which is not in master.cf",
    ),
    "another's address": (
        swapped(MASTER, "smtp_bind_address=203.0.113.11", "smtp_bind_address=203.0.113.12"),
        "sends by 203.0.113.12, and the policy's sources say otherwise",
    ),
    "a draw of nothing": (swapped(MAIN, "randmap:{a11-r103:,", "randmap:{,"), "transport_maps cannot be"),
    "a bind that is not enforced": (swapped(MASTER, "enforce=yes", "enforce=no"), "is not a service of a policy"),
    "a restriction that lets all pass": (swapped(MAIN, "permit_mynetworks, reject", "permit"), "cannot be 'permit'"),
    "a program of another's": (
        swapped(MASTER, "retry unix - - n - - error", "retry unix - n n - - pipe user=root argv=/bin/sh"),
        "is not a service of a policy",
    ),
    "a file elsewhere": (with_another_file, "is not a file of a Postfix policy"),
    "a map with another's line": (
        swapped("pool-7/tenants", "acme/mail pool_7", "acme/mail OK"),
        "is not a valid line of this map",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_it_refuses_what_would_stop_mail(name: str) -> None:
    change, sentence = BROKEN[name]
    compiled = compile_policy(small(tenants=(Tenant(1, "u1", "acme/mail", 1, 7),)), Overlay())
    files = dict(compiled.files)
    change(files)

    with pytest.raises(agent_grammar.InvalidPolicy) as refusal:
        agent_grammar.check(files, sources(compiled), PRESENT)
    assert sentence in str(refusal.value)


def test_it_refuses_an_address_that_is_not_on_the_machine() -> None:
    compiled = compile_policy(small(), Overlay())

    with pytest.raises(agent_grammar.InvalidPolicy, match=r"^the address 203\.0\.113\.11 is not on this machine$"):
        agent_grammar.check(compiled.files, sources(compiled), set())
