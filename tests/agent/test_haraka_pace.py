"""The plug-in's counters in virtual time: never above a limit in any window, and nearly all of it used while mail waits."""

import json
import pathlib
import shutil
import subprocess
from bisect import bisect_left

import pytest

from tests.agent.conftest import AGENT

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="there is no node here (20 or newer)")


@pytest.fixture(scope="module")
def started() -> dict[str, list[list[float]]]:
    """Return when messages started (milliseconds), and how many connections there were then."""
    script = pathlib.Path(__file__).with_name("pace.js")
    done = subprocess.run(["node", str(script), str(AGENT / "haraka")], capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


def most_within(times: list[float], window: float) -> int:
    return max(bisect_left(times, start + window) - position for position, start in enumerate(times))


@pytest.mark.parametrize(
    ("name", "per_hour", "window", "seconds"),
    [("hourly", 3600, 10, 120), ("fast", 36_000, 10, 60), ("slow", 60, 3600, 3600), ("both", 3600, 60, 300)],
)
def test_an_hourly_limit_holds_in_every_window(started, name: str, per_hour: int, window: int, seconds: int) -> None:
    times = sorted(at for at, _ in started[name])

    assert most_within(times, window * 1000) <= per_hour * window / 3600
    if name != "both":
        assert len(times) >= 0.9 * per_hour * seconds / 3600


def test_connections_are_never_more_and_all_are_used(started) -> None:
    assert max(busy for _, busy in started["connections"]) == 3
    # 100 messages of a second by three connections.
    assert len(started["connections"]) == 100
    assert max(at for at, _ in started["connections"]) < 60_000
    assert max(busy for _, busy in started["both"]) == 2


def test_a_change_of_the_limit_holds_from_the_next_messages_on(started) -> None:
    lowered = [at for at, _ in started["lowered"] if at >= 63_000]
    assert 25 <= len(lowered) <= 35
    assert most_within(lowered, 100_000) <= 10
    raised = [at for at, _ in started["raised"] if 75_000 <= at < 175_000]
    assert 90 <= len(raised) <= 100


def test_wrong_passwords_slow_an_address_or_the_64_of_ipv6(started) -> None:
    """Who has one IPv6 address has those of its network as well."""
    assert started["delays"] == [2000, 0, 1000, 0, 1000]
