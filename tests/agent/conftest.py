"""Where the agent's files are, and a spool of its own for a test."""

import pathlib
from collections.abc import Iterator

import pytest
from agent_spool import Spool

AGENT = pathlib.Path(__file__).parents[2] / "agent"


@pytest.fixture
def spool(tmp_path: pathlib.Path) -> Iterator[Spool]:
    found = Spool(str(tmp_path / "agent.db"))
    yield found
    found.close()
