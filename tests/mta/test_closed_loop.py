"""The closed loop on real MTAs: receivers defer, the panel decides, and the MTA obeys."""

from collections.abc import Callable

import pytest

from tests.lab import real
from tests.mta.machine import Machine

pytestmark = [pytest.mark.server, pytest.mark.long, pytest.mark.live]
# A short form of `make lab ARGS="--real KIND"`.
MINUTES = 4


@pytest.mark.parametrize("kind", ["postfix", "haraka"])
def test_from_the_deciding_event_to_the_mta_obeying(kind: str, machine_of: Callable[..., Machine]) -> None:
    given = real.numbers("overload")
    machine = machine_of(kind, sink=real.ModelReceivers(given["receivers"], seed=1), tries=real.TRIES)
    story = real.run(given, machine, minutes=MINUTES)
    print(f"{kind}\n{story.text()}")
    assert story.holds, story.text()
