"""Rates and ratios."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

# Short turns, taken by all in the same order: whatever else the machine does meets all of them alike.
ROUNDS = 15
SECONDS_A_TURN = 0.2


@dataclass(frozen=True, slots=True)
class Ratio:
    """One figure, and what it must reach; without a goal it is only told."""

    name: str
    value: float
    goal: float | None = None
    is_at_most: bool = False

    @property
    def holds(self) -> bool:
        if self.goal is None:
            return True
        return self.value <= self.goal if self.is_at_most else self.value >= self.goal

    def __str__(self) -> str:
        if self.goal is None:
            return f"{self.name:<78} {self.value:10,.2f}"
        sign = "≤" if self.is_at_most else "≥"
        verdict = "" if self.holds else "   MISSED"
        return f"{self.name:<78} {self.value:10,.2f}   {sign} {self.goal:g}{verdict}"


def rates(rivals: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Return calls per second of each, the median of many short turns."""
    turns: dict[str, list[float]] = {name: [] for name in rivals}
    for call in rivals.values():
        call()
    for _ in range(ROUNDS):
        for name, call in rivals.items():
            calls, start = 0, time.perf_counter()
            while (passed := time.perf_counter() - start) < SECONDS_A_TURN:
                call()
                calls += 1
            turns[name].append(calls / passed)
    return {name: statistics.median(each) for name, each in turns.items()}
