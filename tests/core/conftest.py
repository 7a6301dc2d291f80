from collections.abc import Iterator

import pytest

from tests.dns_server import LocalDNS


@pytest.fixture
def dns(settings) -> Iterator[LocalDNS]:
    """A DNS server that the resolver asks by default."""
    with LocalDNS() as server:
        settings.SLUICE_DNS_SERVERS = [server.address]
        yield server
