"""Every constraint of every app has a test in which the database refuses."""

from importlib import import_module

import pytest

from tests.refusals import Refusals, constraints_of

APPS = ["core", "throttling", "ippools", "servers", "webhooks", "suppressions", "stats", "nodes", "alerts"]


@pytest.mark.parametrize("app", APPS)
def test_each_has_a_test(app: str) -> None:
    tested: Refusals = import_module(f"tests.{app}.test_constraints").refusals
    assert sorted(tested.writes) == sorted(constraints_of(app))
