"""What a Postfix does that has these files, by Postfix's documentation (transport(5), pipemap, randmap, master(5)).

It knows the files and nothing of what made them.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class Leaving:
    """How mail leaves by one address: its share of the draw, and the most that all of its transports allow together."""

    share: Fraction
    connections: int
    # None: no limit.
    per_hour: Fraction | None
    # Whether transports count for themselves, or for each destination.
    is_by_domain: bool
    counters: frozenset[str]


class Instance:
    """One instance's configuration folder."""

    def __init__(self, files: Mapping[str, str], folder: str) -> None:
        self._files, self._folder = files, folder
        self.settings = dict(_parameter(line) for line in _lines(files[f"{folder}/main.cf"]))
        self.services = {line.split()[0]: line.split() for line in _lines(files[f"{folder}/master.cf"])}
        pipemaps = re.findall(
            r"pipemap:\{lmdb:\$config_directory/(\S+), randmap:\{(.*?)\}\}", self.settings.get("transport_maps", "")
        )
        self._maps = [(self._map(name), _draw(names)) for name, names in pipemaps]

    def transports(self, domain: str) -> Counter[str]:
        """Return the names in the draw for a recipient's domain (transport(5): the domain, then `.parent`s; first map wins)."""
        parents = domain.split(".")[1:]
        for key in (domain, *("." + ".".join(parents[start:]) for start in range(len(parents)))):
            for found, names in self._maps:
                if key in found:
                    return names
        [names] = re.findall(r"randmap:\{(.*?)\}", self.settings["sender_dependent_default_transport_maps"])
        return _draw(names)

    def _map(self, name: str) -> dict[str, str]:
        return dict(line.split(" ", 1) for line in _lines(self._files[f"{self._folder}/{name}"]))

    def leaving(self, domain: str) -> dict[str, Leaving]:
        """Return by which addresses mail for a domain leaves; empty: it waits in the queue."""
        drawn = self.transports(domain)
        deferred = self.settings["defer_transports"].split()
        by_address: dict[str, list[tuple[str, int]]] = {}
        for name, times in drawn.items():
            if name not in deferred:
                by_address.setdefault(self._option(name, "smtp_bind_address"), []).append((name, times))
        return {
            address: Leaving(
                Fraction(sum(times for _, times in found), drawn.total()),
                sum(self._connections(name) for name, _ in found),
                self._per_hour([name for name, _ in found]),
                any(f"{name}_destination_rate_delay" in self.settings for name, _ in found),
                frozenset(name for name, _ in found),
            )
            for address, found in by_address.items()
        }

    def _connections(self, name: str) -> int:
        processes = int(self.services[name][6])
        assert self._option(name, "smtp_connection_cache_on_demand") == "no"
        assert self._option(name, "smtp_bind_address_enforce") == "yes"
        of_domain = self.settings.get(f"{name}_destination_concurrency_limit")
        if f"{name}_destination_rate_delay" in self.settings:
            # qmgr: a rate delay sets the concurrency of a destination to 1.
            return 1
        return min(processes, int(of_domain)) if of_domain else processes

    def _per_hour(self, names: list[str]) -> Fraction | None:
        total = Fraction(0)
        for name in names:
            delays = [self.settings.get(f"{name}_{word}_rate_delay") for word in ("transport", "destination")]
            [delay] = [each for each in delays if each] or [None]
            if delay is None:
                return None
            is_one = self.settings.get(f"{name}_destination_recipient_limit") == "1"
            # Else a delivery has up to 50 recipients; or the destination is the recipient, and there is no limit.
            assert is_one == (delays[0] is not None)
            total += Fraction(3600, int(delay.removesuffix("s")))
        return total

    def _option(self, name: str, option: str) -> str:
        [value] = [word.partition("=")[2] for word in self.services[name] if word.startswith(option + "=")]
        return value

    def pool_of(self, tenant: str) -> str | None:
        """Return where the front gives a tenant's mail (HOST:PORT), `here` where it keeps it; None: it refuses."""
        verdicts = dict(line.split(" ", 1) for line in _lines(self._files[f"{self._folder}/tenants"]))
        verdict = verdicts.get(tenant, "reject")
        if verdict.upper().startswith(("REJECT", "450 ")):
            return None
        assert verdict in self.settings["smtpd_restriction_classes"].split(", ")
        filtered = re.search(r"FILTER to_pool:\[(.*?)\]:(\d+)", self.settings[verdict])
        return f"{filtered[1]}:{filtered[2]}" if filtered else "here"


def _lines(text: str) -> list[str]:
    return [line for line in text.split("\n") if line and not line.startswith("#")]


def _parameter(line: str) -> tuple[str, str]:
    name, _, value = line.partition("=")
    return name.strip(), value.strip()


def _draw(names: str) -> Counter[str]:
    return Counter(name.removesuffix(":") for name in names.split(","))
