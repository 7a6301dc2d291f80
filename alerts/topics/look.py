"""What a topic is given: whose records, when, and what is open already."""

import datetime
from dataclasses import dataclass

from alerts.held import Held
from alerts.scope import Scope


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a scope's records."""

    scope: Scope
    at: datetime.datetime
    held: Held

    @property
    def named(self) -> int:
        """Of each condition so many records are named; more are one line with their number."""
        return self.scope.named
