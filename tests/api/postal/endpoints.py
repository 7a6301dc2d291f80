"""Every URL of the dialect with what its action declares: the suites that walk them let a new endpoint join by existing."""

import re
from dataclasses import dataclass
from typing import Any

from api.postal.fields import Parameter
from api.postal.urls import urlpatterns
from api.postal.views import Operation


@dataclass(frozen=True)
class Endpoint:
    """One URL. `path` has something that names nothing where the route has a part that varies."""

    route: str
    view: type
    verbs: frozenset[str]
    operation: Operation

    @classmethod
    def of(cls, pattern: Any) -> "Endpoint":
        callback = pattern.callback
        (action,) = set(callback.actions.values())
        # HEAD is answered wherever GET is.
        verbs = {verb.upper() for verb in callback.actions} | ({"HEAD"} if "get" in callback.actions else set())
        return cls(str(pattern.pattern), callback.cls, frozenset(verbs), getattr(callback.cls, action).operation)

    @property
    def path(self) -> str:
        return re.sub(r"<[^>]+>", "nothing.example", self.route)

    @property
    def parameters(self) -> list[Parameter]:
        return [] if self.operation.takes is None else self.operation.takes.all

    @property
    def takes_parameters(self) -> bool:
        return self.operation.takes is not None


ENDPOINTS = [Endpoint.of(pattern) for pattern in urlpatterns]
