"""One running installation for all of them, unbroken again at each one's end."""

from collections.abc import Iterator

import pytest

from tests.faults.client import wait_until
from tests.faults.installation import Installation, running

# Seconds within which everything must work again once what was broken is back.
RECOVERED_WITHIN = 30


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with running(tmp_path_factory.mktemp("faults")) as installation:
        yield installation


@pytest.fixture
def installation(whole: Installation) -> Iterator[Installation]:
    """The same for each test: ready before, and ready again after it, with no process of Sluice started anew by us."""
    web = whole.sluice.web.pid
    assert whole.client.is_ready()
    yield whole
    wait_until(whole.client.is_ready, seconds=RECOVERED_WITHIN, what="ready again")
    assert (whole.sluice.web.pid, whole.sluice.web.poll()) == (web, None)
