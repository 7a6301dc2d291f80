"""A small platform: two pools on one node, and a pool on another."""

import pytest

from tests.cast import make_pool
from tests.nodes.platform import Site, make_site


@pytest.fixture
def site(acme, globex) -> Site:
    return make_site(acme, globex, make_pool)
