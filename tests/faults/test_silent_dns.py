"""Name servers that never answer: who waits for them, who does not, and that others' domains are checked all the same."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.dns_server import LocalDNS
from tests.faults.client import Answer, Client, wait_until
from tests.faults.installation import Installation

pytestmark = [pytest.mark.server, pytest.mark.live]

# The attack: so many checks at once, of names below this one.
ATTACK = 64
SILENT = "silent.test"
# What another tenant may wait meanwhile, and how soon a due domain must have been checked, in seconds.
PATIENCE = 5
CHECKED_WITHIN = 90


@pytest.fixture
def neighbour(installation: Installation) -> Client:
    """A tenant beside the one that attacks."""
    name = f"Globex {time.time_ns()}"
    made = json.loads(installation.sluice.manage("create_organization", name, "--json"))
    server = json.loads(installation.sluice.manage("create_server", made["permalink"], "Mail", "--json"))
    return Client(installation.client.url, server["api_key"])


def add(client: Client, name: str) -> str:
    answer = client.postal("domains/create", {"name": name})
    assert answer is not None
    assert answer.is_success, answer.body
    return name


def verify(client: Client, name: str) -> Answer:
    answer = client.postal("domains/verify", {"name": name})
    assert answer is not None
    return answer


def test_a_silent_name_server_holds_few_threads(installation: Installation, neighbour: Client, dns: LocalDNS) -> None:
    names = [add(installation.client, f"a{number}.{SILENT}") for number in range(8)]
    theirs = add(neighbour, "neighbour.test")
    dns.silence(SILENT)
    with ThreadPoolExecutor(ATTACK) as threads:
        attack = [
            threads.submit(verify, Client(installation.client.url, installation.client.key), names[number % len(names)])
            for number in range(ATTACK)
        ]
        wait_until(lambda: any(each.done() for each in attack), seconds=30, what="some are refused")
        waited = []
        while not all(each.done() for each in attack):
            shown = neighbour.postal("servers/show")
            assert shown is not None
            assert shown.is_success, shown.body
            checked = verify(neighbour, theirs)
            # Not published, so not verified: but DNS was asked, and it answered.
            assert checked.body["data"]["code"] == "VerificationFailed", checked.body
            waited += [shown.seconds, checked.seconds]
    assert max(waited) < PATIENCE

    answers = [each.result() for each in attack]
    refused = [each for each in answers if each.status == 429]
    # Two processes with two places each: one organization holds one in each. The others were told at once when to come again.
    assert ATTACK - len(refused) <= 4
    assert {(each.body["data"]["code"], each.headers["Retry-After"]) for each in refused} == {("TooManyRequests", "15")}
    assert max(each.seconds for each in refused) < PATIENCE


@pytest.mark.long
def test_a_due_domain_is_checked_beside_160_silent_ones(
    installation: Installation, neighbour: Client, dns: LocalDNS
) -> None:
    dns.silence(SILENT)
    for number in range(160):
        add(installation.client, f"b{number}.{SILENT}")
    installation.start_worker()
    installation.start_beat()
    # The first of them are under way, and more wait than the sweep can claim.
    wait_until(lambda: dns.asked[f"b0.{SILENT}", "TXT", "udp"] > 0, seconds=120, what="the sweep has begun")
    theirs = add(neighbour, "due.test")
    took = wait_until(lambda: is_checked(neighbour, theirs), seconds=CHECKED_WITHIN, what="their domain is checked")
    print(f"checked after {took:.0f} s")


def is_checked(client: Client, name: str) -> bool:
    answer = client.postal("domains/dns_records", {"domain_name": name})
    assert answer is not None
    return answer.body["data"]["domain"]["dns_checks"]["mx"]["status"] is not None
