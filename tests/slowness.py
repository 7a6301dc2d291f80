"""Bounds in seconds of a processor, on processors that are slower than the one on which they were found."""

import time

# Seconds that `_work` took there.
_NOMINAL = 0.009


def on_this_machine(seconds: float) -> float:
    """Return how long what took so many seconds there may take here and now; never less."""
    return seconds * max(1.0, min(_took() for _ in range(3)) / _NOMINAL)


def _took() -> float:
    began = time.thread_time()
    _work()
    return time.thread_time() - began


def _work() -> dict[str, int]:
    """Do a little of what tests are about: numbers, texts and tables."""
    found: dict[str, int] = {}
    for number in range(15_000):
        name, _, domain = f"{number}@d{number % 97}.example".partition("@")
        found[domain] = found.get(domain, 0) + len(name)
    return found
