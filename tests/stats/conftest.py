"""The cast of the statistics' tests: acme counts, globex must see nothing of it."""

import datetime

import pytest

from tests.cast import SYSTEM, Tenant, make_tenant

__all__ = ["ACTOR", "NOW", "Tenant", "make_tenant"]
NOW = datetime.datetime(2026, 3, 11, 15, 30, 20, tzinfo=datetime.UTC)  # a Wednesday
ACTOR = SYSTEM


@pytest.fixture
def acme(db: None) -> Tenant:
    return make_tenant("Acme", "192.0.2.1", "192.0.2.2")


@pytest.fixture
def globex(db: None) -> Tenant:
    return make_tenant("Globex", "198.51.100.1")
