"""What is open already: a condition ends at a lower threshold than it begins at, so that an alert does not flap."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from django.db.models import QuerySet

from alerts.items import key_of
from alerts.models import Alert
from alerts.scope import Scope, among


@dataclass(frozen=True, slots=True)
class Held:
    """The open alerts of a scope: severities by key, and the conditions of which many records are one alert."""

    levels: Mapping[str, str]
    grouped: frozenset[str] = frozenset()

    def level(self, condition: str, url: str) -> str:
        """Return the severity of the open alert with this URL, "" without one; `warn` while many of a condition are one."""
        return self.levels.get(key_of(condition, url), "") or ("warn" if condition in self.grouped else "")

    def pks(self, condition: str) -> list[int]:
        """Return the ids of records that have an open alert of a condition."""
        pattern = re.compile(rf"{re.escape(condition)}:.*/(\d+)/change/")
        return sorted(int(found[1]) for key in self.levels if (found := pattern.match(key)))


def held_in(scope: Scope) -> Held:
    """Return what is open in a scope. One query."""
    rows: QuerySet[Alert] = Alert.objects.filter(ended_at=None)
    rows = rows.filter(organization=None) if scope.is_platform else among(rows, "organization", scope.organization_ids)
    found = list(rows.values_list("key", "level", "condition", "is_group"))
    return Held(
        {key: level for key, level, _, _ in found},
        frozenset(condition for _, _, condition, is_group in found if is_group),
    )


NOTHING_HELD = Held({})
