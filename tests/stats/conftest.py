"""The cast of the statistics' tests: acme counts, globex must see nothing of it."""

import datetime
from collections.abc import Iterator

import pytest

from stats.ledger import partitions
from tests.cast import SYSTEM, Tenant, make_tenant

__all__ = ["ACTOR", "NOW", "Tenant", "make_tenant"]
NOW = datetime.datetime(2026, 3, 11, 15, 30, 20, tzinfo=datetime.UTC)  # a Wednesday
ACTOR = SYSTEM


@pytest.fixture
def no_partitions(transactional_db: None) -> Iterator[None]:
    """Drop what is there before and after: partitions are no rows, and emptying the tables between tests leaves them."""
    _drop_partitions()
    yield
    _drop_partitions()


def _drop_partitions() -> None:
    for partition in partitions.existing():
        partitions.drop(partition)


@pytest.fixture
def acme(db: None) -> Tenant:
    return make_tenant("Acme", "192.0.2.1", "192.0.2.2")


@pytest.fixture
def globex(db: None) -> Tenant:
    return make_tenant("Globex", "198.51.100.1")
