"""Machines in network namespaces of their own; left out with a sentence where there can be none."""

import pathlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import pytest

from tests.mta.disk import CannotBeMounted, SmallDisk
from tests.mta.machine import Machine, state_folder, why_not
from tests.mta.namespace import CannotBeMade, namespace
from tests.mta.policies import ADDRESSES

type DiskMaker = Callable[[pathlib.Path], AbstractContextManager[SmallDisk]]


@pytest.fixture(scope="module")
def machine_of() -> Iterator[Callable[..., Machine]]:
    """Return a maker of machines by the kind of their MTA."""
    with ExitStack() as stack:

        def make(kind: str, *, disk: DiskMaker | None = None, **how: Any) -> Machine:
            if reason := why_not(kind):
                pytest.skip(reason)
            folder = stack.enter_context(state_folder())
            try:
                inside = stack.enter_context(namespace())
                mounted = stack.enter_context(disk(folder)) if disk else None
            except (CannotBeMade, CannotBeMounted) as reason:
                pytest.skip(str(reason))
            inside.add_addresses(list(ADDRESSES.values()))
            machine = Machine(inside, kind, folder, **how)
            machine.disk = mounted
            stack.callback(machine.close)
            return machine

        yield make


@pytest.fixture(scope="module", params=["postfix", "haraka"])
def machine(request: pytest.FixtureRequest, machine_of: Callable[..., Machine]) -> Machine:
    """Return a machine of each kind, which the tests of a module share: each publishes what it needs."""
    return machine_of(request.param)
