"""The scenarios, by name, in the order in which `make lab` runs them. Each is a file of numbers and a module that runs it."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.lab import bad_customer, cold_address, dead_zone, incident, overload, panel_stopped
from tests.lab.story import Story
from tests.lab.throwaway import rolled_back

SCENARIOS: dict[str, Callable[..., Story]] = {
    "overload": overload.run,
    "cold_address": cold_address.run,
    "bad_customer": bad_customer.run,
    "dead_zone": dead_zone.run,
    "panel_stopped": panel_stopped.run,
    "sudden_block": incident.run,
    "outage": incident.run,
    "wrong_limit": incident.run,
}
FOLDER = Path(__file__).parent / "scenarios"


def numbers(name: str) -> dict[str, Any]:
    """Return a scenario's file."""
    return tomllib.loads((FOLDER / f"{name}.toml").read_text())


def run(name: str, *, seed: int, days: int | None = None) -> tuple[str, Story]:
    """Run a scenario on an empty platform, and return its title and story."""
    given = numbers(name)
    with rolled_back():
        return given["title"], SCENARIOS[name](given, seed=seed, days=days)
