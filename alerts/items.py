"""The finding of a condition as one line, and the grouping of many findings of a kind."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.urls import reverse

from alerts.asking import Row
from core.alerts import KEY_LENGTH

# What the panel's lists are filtered by.
PARAMETER = "alert"


@dataclass(frozen=True, slots=True)
class Item:
    """What a condition found. `level` is `bad` (mail is affected), `warn` (it soon may be) or `note` (intended by an operator).

    `condition` is a name of `alerts.conditions.CONDITIONS`; `is_group`: it stands for more records than are named.
    """

    level: str
    condition: str
    text: str
    detail: str
    url: str
    is_group: bool = False

    @property
    def key(self) -> str:
        """What identifies it from one look to the next: its subject, not the numbers in its text."""
        return key_of(self.condition, self.url)


def key_of(condition: str, url: str) -> str:
    """Return the key of an item of a condition with this URL."""
    return f"{condition}:{url}"[:KEY_LENGTH]


@dataclass(frozen=True, slots=True)
class Group:
    """One line for many of a kind: their number, and a link to a list of these records."""

    level: str
    condition: str
    # What follows the number, as "servers are suspended".
    words: str
    # `app.model` of the records.
    model: str

    @property
    def url(self) -> str:
        """The URL of the list of just these records."""
        return list_url(self.model, self.condition)


def lines(rows: Sequence[Row], *, named: int, group: Group, one: Callable[[Row], Item]) -> list[Item]:
    """Return a line for each of a few rows, or one with the number of all that there are."""
    number = max((row.of_all for row in rows), default=0)
    if number <= named:
        return [one(row) for row in rows]
    return [Item(group.level, group.condition, f"{number:,} {group.words}", "", group.url, is_group=True)]


def list_url(model: str, condition: str) -> str:
    """Return the URL of a model's list in the panel, of the records that a condition finds (`alerts.subjects`)."""
    return f"{reverse(f'admin:{model.replace(".", "_")}_changelist')}?{PARAMETER}={condition}"
