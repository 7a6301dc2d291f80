"""One running installation for all of them, unbroken again at each one's end."""

from collections.abc import Iterator

import pytest

from tests.dns_server import LocalDNS
from tests.faults.client import wait_until
from tests.faults.installation import Installation, running

# Seconds within which everything must work again once what was broken is back.
RECOVERED_WITHIN = 30


@pytest.fixture(scope="session")
def dns_of_whole() -> Iterator[LocalDNS]:
    with LocalDNS() as server:
        yield server


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory, dns_of_whole: LocalDNS) -> Iterator[Installation]:
    with running(tmp_path_factory.mktemp("faults"), SLUICE_DNS_SERVERS=dns_of_whole.address) as installation:
        yield installation


@pytest.fixture
def dns(dns_of_whole: LocalDNS) -> Iterator[LocalDNS]:
    """The DNS server that the installation asks; it answers everything again at the test's end."""
    yield dns_of_whole
    dns_of_whole.heal()


@pytest.fixture
def installation(whole: Installation) -> Iterator[Installation]:
    """The same for each test: ready before, and ready again after it, with no process of Sluice started anew by us."""
    web = whole.sluice.web.pid
    assert whole.client.is_ready()
    yield whole
    wait_until(whole.client.is_ready, seconds=RECOVERED_WITHIN, what="ready again")
    assert (whole.sluice.web.pid, whole.sluice.web.poll()) == (web, None)
