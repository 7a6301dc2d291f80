"""The serializers are one instance each for all requests: nothing of one request is in another's, also at the same moment."""

import copy
import random
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from api.greenarrow.ip_addresses import IPAddresses
from api.greenarrow.reading import Record, Records
from api.greenarrow.routing_rules import RoutingRules
from api.greenarrow.throttle_programs import ThrottlePrograms
from api.greenarrow.throttling_templates import ThrottlingTemplates

VIEWS = (IPAddresses, ThrottlingTemplates, RoutingRules, ThrottlePrograms)


@pytest.fixture
def switching() -> Iterator[None]:
    """Threads take turns as often as they can."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


def bodies(seed: int) -> list[Any]:
    """Right and wrong ones, each of which says whose it is in whatever it holds."""
    chosen, me = random.Random(seed), f"caller{seed}"
    limits = {"max_concurrent_connections": seed, "max_messages_per_hour": seed}
    rules = [{"domains": [f"{me}-{n}.example"], **limits} for n in range(3)]
    wrong = [{"domains": [f"_{me}_{n}"], "max_messages_per_hour": me} for n in range(2)]
    found = [
        {"name": me, "default": limits, "rules": rules},
        {"name": me, "default": limits, "rules": chosen.sample([*rules, *wrong, me, None], 5)},
        {"name": me, "default": {"randomization_type": me, "deliver_through": [{"virtual_mta": {"id": seed}}]}},
        {"name": me, "backoff": {"return_after": seed}, "triggers": {"failure_rate": seed}},
        {"name": [me], "default": me},
    ]
    chosen.shuffle(found)
    return found


def outcome(serializer: Record, body: Any) -> str:
    read = serializer.read(copy.deepcopy(body))
    faults = read.pop("faults")
    return f"{read} {[(each.path, each.message) for each in faults.found]}"


def test_what_is_read_at_the_same_moment_is_each_callers_own(switching: None) -> None:
    shared = [serializer for view in VIEWS for action in view.bodies.values() for serializer in action.values()]
    assert len(shared) >= 5
    # Those that are new have had no other request.
    alone = [[outcome(copy.deepcopy(each), body) for each in shared for body in bodies(seed)] for seed in range(4)]

    def ask(seed: int) -> list[list[str]]:
        return [[outcome(each, body) for each in shared for body in bodies(seed)] for _ in range(10)]

    with ThreadPoolExecutor(4) as threads:
        for seed, together in enumerate(threads.map(ask, range(4))):
            assert together == [alone[seed]] * 10


def test_what_stands_for_an_entry_of_which_nothing_is_right_takes_nothing() -> None:
    nothing: Any = Records.nothing
    with pytest.raises(TypeError):
        nothing["domains"] = []
