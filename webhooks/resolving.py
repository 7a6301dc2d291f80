"""The addresses of receivers' names, remembered for some seconds by each worker. They are checked again at each call."""

import threading
import time

from dnschecks.resolver import Resolver

# Seconds. A name that moves is followed this much later.
REMEMBERED = 30.0
_MOST_NAMES = 10_000


class Unresolved(Exception):
    """DNS has no address for the name, or did not say."""


class Addresses:
    """A memory of addresses, for several threads."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, list[str]]] = {}
        self._lock = threading.Lock()

    def resolve(self, name: str, seconds: float) -> list[str]:
        """Return the IPv4 addresses of a name, then its IPv6 addresses; raises Unresolved."""
        now = time.monotonic()
        with self._lock:
            known = self._known.get(name)
        if known is not None and known[0] > now:
            return known[1]
        found = resolve(name, seconds)
        with self._lock:
            if len(self._known) >= _MOST_NAMES:
                self._known.clear()
            self._known[name] = now + REMEMBERED, found
        return found


def resolve(name: str, seconds: float) -> list[str]:
    """Ask DNS for the addresses of a name; raises Unresolved. The hosts file of the machine has no say."""
    resolver = Resolver(time_limit=seconds, question_timeout=seconds)
    answers = [resolver.ask(name, rdtype) for rdtype in ("A", "AAAA")]
    found = [address for answer in answers for address in answer.addresses if not answer.is_failure]
    if found:
        return found
    failed = next((answer for answer in answers if answer.is_failure), answers[0])
    raise Unresolved(f"{name} has no address: {failed.detail or failed.outcome}")
