"""The records that a condition is about: what the list behind a line about many shows."""

import dataclasses
import datetime
import re

from alerts.asking import ask
from alerts.conditions import TOPICS
from alerts.held import held_in
from alerts.scope import Scope
from alerts.topics import pools
from alerts.topics.look import Look

# Of each condition all are named.
_ALL = 1_000_000_000
_CHANGE = re.compile(r"/(\d+)/change/")
_TOPICS = {group.condition: topic for topic in TOPICS for group in topic.GROUPS}
_MODELS = {group.condition: group.model for topic in TOPICS for group in topic.GROUPS}


def conditions_of(model: str) -> list[str]:
    """Return the names of the conditions that are about records of a model, `app.model`."""
    return [condition for condition, its in _MODELS.items() if its == model]


def subjects(condition: str, scope: Scope, at: datetime.datetime) -> list[int]:
    """Return the ids of the records of a scope that a condition finds, however many there are.

    Of what many are one alert, these are the many. Five queries at most.
    """
    look = Look(dataclasses.replace(scope, named=_ALL), at, held_in(scope))
    if condition == "server_without_pool":
        return list(pools.poolless(look).order_by("pk").values_list("pk", flat=True))
    topic = _TOPICS[condition]
    answers = ask(lambda: topic.questions(look), key=(topic.__name__, look.key), at=at)
    items = topic.items(look, answers)
    urls = {item.url for item in items if item.condition == condition}
    return sorted({int(found[1]) for url in urls if (found := _CHANGE.search(url))})
