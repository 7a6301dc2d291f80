"""Policies that `postfix check` lets pass and that would stop mail are refused, or taken back, while mail flows on."""

import dataclasses
import pathlib
import socket
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from tests.mta.machine import Machine
from tests.mta.policies import ACME, PASSWORD, policy, published
from throttling.limits import LimitRule

pytestmark = [pytest.mark.server, pytest.mark.long, pytest.mark.live]
RULES = (LimitRule(102, ("slow.example",), 5, 3600), LimitRule(103, ("other.example",), 5, 0))
MAIN, MASTER = "pool-7/main.cf", "pool-7/master.cf"


def swapped(name: str, old: str, new: str) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        assert old in document["files"][name]
        document["files"][name] = document["files"][name].replace(old, new)

    return change


def without_a_map(document: dict[str, Any]) -> None:
    del document["files"][next(name for name in document["files"] if name.startswith("pool-7/c-"))]


def with_an_address_elsewhere(document: dict[str, Any]) -> None:
    swapped(MASTER, "203.0.113.11", "198.51.100.99")(document)
    for source in document["sources"].values():
        source["ip"] = "198.51.100.99"


BROKEN: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "a misspelt parameter": (
        swapped(MAIN, "_transport_rate_delay", "_transport_rate_dealy"),
        "is not a parameter of a policy",
    ),
    "a delay that is no number": (swapped(MAIN, "rate_delay = 2s", "rate_delay = abc"), "cannot be 'abc'"),
    "a delay that Postfix reads as 0": (swapped(MAIN, "rate_delay = 2s", "rate_delay = soon"), "cannot be 'soon'"),
    "a program that is not there": (
        swapped(MASTER, "qmgr unix n - n 300 1 qmgr", "qmgr unix n - n 300 1 qmgrr"),
        "is not a service of a policy",
    ),
    "a map that is not there": (without_a_map, "which is missing"),
    "a transport that is not there": (swapped(MAIN, "randmap:{a11-r103:}", "randmap:{a11-r104:}"), "not in master.cf"),
    "an address of another machine": (with_an_address_elsewhere, "is not on this machine"),
    "a draw of nothing": (swapped(MAIN, "randmap:{a11-r0:}", "randmap:{}"), "cannot be"),
    "another's restriction": (swapped(MAIN, "reject", "permit"), "cannot be"),
}


@pytest.fixture(scope="module")
def postfix(machine_of: Callable[[str], Machine]) -> Machine:
    machine = machine_of("postfix")
    machine.start_agent()
    machine.publish(published(policy("postfix", rules=RULES)))
    assert machine.report()["error"] == ""
    return machine


def mail_flows(machine: Machine) -> None:
    before = len(machine.sink.record.accepted())
    machine.send(ACME, PASSWORD, ["a@d.example", "a@other.example", "a@slow.example"])
    machine.until(lambda: len(machine.sink.record.accepted()) >= before + 3, 30, "mail")


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_policy_is_refused(postfix: Machine, name: str) -> None:
    change, reason = BROKEN[name]
    number = 2 + list(BROKEN).index(name)
    document = published(dataclasses.replace(policy("postfix", rules=RULES), revision=number))
    change(document)
    document["digest"] = f"{number:064}"
    passes_postfix_check(postfix, document)

    postfix.publish(document)

    assert postfix.report()["error"].startswith("refused: ")
    assert reason in postfix.report()["error"]
    assert (postfix.report()["revision_applied"], postfix.report()["drift"]) == (1, [])
    mail_flows(postfix)


def passes_postfix_check(machine: Machine, document: dict[str, Any]) -> None:
    """See that Postfix itself has nothing against it."""
    folder = machine.folder / "checked"
    for path, text in document["files"].items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    queue = machine.state / "postfix/queue/pool-7"
    with (folder / MAIN).open("a") as main:
        main.write(f"queue_directory = {queue}\ndata_directory = {machine.state}/postfix/data/pool-7\n")
    done = machine.inside.run("postfix", "-c", str(folder / "pool-7"), "check")
    subprocess.run(["rm", "-r", str(folder)], check=True)
    assert done.returncode == 0, done.stderr


def test_what_only_shows_when_it_runs_is_taken_back(postfix: Machine) -> None:
    """A port that is in use passes every check; Postfix's master ends by it."""
    occupied = postfix.inside.inside(lambda: socket.create_server(("127.128.0.9", 10025)))
    with occupied:
        document = published(policy("postfix", rules=RULES, pools={7: (11,), 9: (12,)}, revision=50))
        postfix.publish(document, seconds=90)
    assert postfix.report()["error"].startswith("taken back: ")
    assert "127.128.0.9" in postfix.report()["error"]
    assert postfix.report()["revision_applied"] == 1
    mail_flows(postfix)

    # The same policy is fine, now that the port is free: the agent tries again by itself, and at once with the next revision.
    postfix.publish(published(policy("postfix", rules=RULES, pools={7: (11,), 9: (12,)}, revision=51)), seconds=90)
    assert (postfix.report()["error"], postfix.report()["revision_applied"]) == ("", 51)
    mail_flows(postfix)


def test_it_takes_no_older_policy_and_none_of_another_node(postfix: Machine) -> None:
    other = published(policy("postfix", rules=RULES, revision=60))
    other["node"] = "mta2"
    postfix.publish(other)
    assert (
        postfix.report()["error"] == "refused: this is the policy of mta2 (postfix), and this machine is mta1 (postfix)"
    )

    old = published(policy("postfix", rules=RULES, revision=20))
    postfix.publish(old)
    assert (
        postfix.report()["error"]
        == "refused: revision 20, overlay 1 is older than revision 51, overlay 1, which is applied"
    )
    assert postfix.report()["revision_applied"] == 51
    mail_flows(postfix)


def test_it_touches_no_file_of_the_machines_own_postfix(postfix: Machine) -> None:
    modes = {path: path.stat().st_mtime for path in pathlib.Path("/etc/postfix").rglob("*")}
    postfix.publish(published(policy("postfix", rules=RULES, revision=70)), seconds=60)

    assert postfix.report()["revision_applied"] == 70
    assert {path: path.stat().st_mtime for path in pathlib.Path("/etc/postfix").rglob("*")} == modes
