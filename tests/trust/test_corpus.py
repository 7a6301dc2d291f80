"""The fuzzer begins with every endpoint: a new one joins `fuzz.corpus`, or fails here."""

import re

import pytest

from tests.fuzz import corpus
from tests.trust.test_tenants import GREENARROW, POSTAL

SEEDS = corpus.postal() + corpus.greenarrow()


def asked(route: str) -> set[str]:
    """Return the verbs by which seeds ask for a route of the URL configuration."""
    pattern = re.sub(r"<[^>]+>", "[^/]+", f"/{route}")
    return {seed.method for seed in SEEDS if re.fullmatch(pattern, seed.path)}


@pytest.mark.parametrize("endpoint", POSTAL, ids=str)
def test_postals_are_asked(endpoint):
    assert asked(endpoint.route) >= {"POST"}


@pytest.mark.parametrize("endpoint", GREENARROW, ids=str)
def test_greenarrows_are_asked_by_each_verb(endpoint):
    assert asked(endpoint.route) >= {verb.upper() for verb in endpoint.verbs}
