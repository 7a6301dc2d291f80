"""Time that passes only as a test says: what the test proves does not depend on how fast the machine is."""

import math
import time
from collections.abc import Callable
from types import SimpleNamespace


class Clock:
    """Replaces the module `time` in code that reads it: `monkeypatch.setattr(sending, "time", Clock())`."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds

    def thread_time(self) -> float:
        return 0.0

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


def over_when(is_so: Callable[[], bool]) -> SimpleNamespace:
    """Return a module `time` whose time is over as soon as this is so: a run that has some seconds ends then."""
    return SimpleNamespace(monotonic=lambda: math.inf if is_so() else time.monotonic())
