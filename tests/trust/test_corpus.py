"""The fuzzer begins with every endpoint: a new one joins `fuzz.corpus`, or fails here."""

import json
import re

import pytest

from api.postal.schemas import EVENT
from tests.fuzz import corpus
from tests.trust.test_tenants import GREENARROW, POSTAL

CORPUS = "tests/fuzz/corpus.py"
SEEDS = corpus.postal() + corpus.greenarrow()


def seeds_of(route: str) -> list[corpus.Seed]:
    """Return the seeds that ask for a route of the URL configuration."""
    pattern = re.sub(r"<[^>]+>", "[^/]+", f"/{route}")
    return [seed for seed in SEEDS if re.fullmatch(pattern, seed.path)]


@pytest.mark.parametrize("endpoint", POSTAL, ids=str)
def test_postals_are_asked(endpoint):
    assert "POST" in {seed.method for seed in seeds_of(endpoint.route)}, (
        f"add a body of {endpoint.route} to _POSTAL_BODIES of {CORPUS}"
    )


@pytest.mark.parametrize("endpoint", GREENARROW, ids=str)
def test_greenarrows_are_asked_by_each_verb(endpoint):
    seeds = seeds_of(endpoint.route)
    missing = {verb.upper() for verb in endpoint.verbs} - {seed.method for seed in seeds}
    assert not missing, f"add {', '.join(sorted(missing))} {endpoint.route} to greenarrow() of {CORPUS}"


@pytest.mark.parametrize("endpoint", [each for each in GREENARROW if each.view.filterset_class], ids=str)
def test_greenarrows_lists_are_asked_by_each_filter(endpoint):
    seeds = [seed for seed in seeds_of(endpoint.route) if seed.method == "GET"]
    if "<" not in endpoint.route:
        unasked = set(endpoint.view.filterset_class.base_filters) - {name for seed in seeds for name in seed.query}
        assert not unasked, f"add {sorted(unasked)} to the query of a seed of {endpoint.route} in {CORPUS}"


def test_each_kind_of_record_in_a_seed_is_one_that_has_ids():
    texts = " ".join(f"{seed.path} {json.dumps(seed.body)} {json.dumps(seed.query)}" for seed in SEEDS)
    unknown = set(re.findall(r"\{(\w+)\}", texts)) - corpus.KINDS
    assert not unknown, f"say in TABLES of {CORPUS} whose ids {sorted(unknown)} become"


def test_an_event_has_each_field():
    bodies = [seed.body for seed in SEEDS if seed.path == "/api/v1/events" and seed.method == "POST"]
    events = [event for body in bodies for event in (body if isinstance(body, list) else [body])]
    missing = EVENT["properties"].keys() - {name for event in events for name in event}
    assert not missing, f"give an event of _POSTAL_BODIES of {CORPUS} {sorted(missing)}"
