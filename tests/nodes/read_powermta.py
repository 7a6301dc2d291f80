"""What PowerMTA's file says, by the documented rules of directives: nearest domain, first pattern, no weights."""

import re
from fractions import Fraction

from nodes.policy.compiled import Compiled
from nodes.policy.model import Overlay
from nodes.policy.powermta import UNLIMITED
from tests.nodes.slow import REFUSED, Limits, Outcome


class PowerMTA:
    def __init__(self, compiled: Compiled, overlay: Overlay) -> None:
        self.vmtas: dict[str, tuple[str, dict[str, tuple[int, int]]]] = {}
        self.pools: dict[str, list[str]] = {}
        self.patterns: dict[str, list[tuple[str, re.Pattern[str], str]]] = {}
        self.sources: dict[str, tuple[str, str | None]] = {}
        self.users: dict[str, str] = {}
        self._read(compiled.files["sluice.conf"])

    def _read(self, text: str) -> None:
        stack: list[tuple[str, str]] = []
        for raw in text.splitlines():
            line = raw.strip()
            if not line or line.startswith("#"):
                continue
            if line.startswith("</"):
                assert stack.pop()[0] == line[2:-1]
            elif line.startswith("<"):
                kind, _, name = line[1:-1].partition(" ")
                stack.append((kind, name.strip("{}")))
                self._open(stack)
            else:
                self._directive(stack, *line.split(" ", 1))
        assert stack == []

    def _open(self, stack: list[tuple[str, str]]) -> None:
        kind, name = stack[-1]
        match kind:
            case "virtual-mta-pool":
                self.pools[name] = []
            case "pattern-list":
                self.patterns[name] = []

    def _directive(self, stack: list[tuple[str, str]], word: str, value: str) -> None:
        kind, name = stack[-1]
        match kind, word:
            case "virtual-mta", "smtp-source-host":
                self.vmtas[name] = (value.split()[0], {})
            case "domain", "max-smtp-out":
                self.vmtas[stack[0][1]][1][name] = (0 if int(value) == UNLIMITED else int(value), 0)
            case "domain", "max-msg-rate":
                connections, _ = self.vmtas[stack[0][1]][1][name]
                rate = 0 if value == "unlimited" else int(value.removesuffix("/h"))
                self.vmtas[stack[0][1]][1][name] = (connections, rate)
            case "virtual-mta-pool", "virtual-mta":
                self.pools[name].append(value)
            case "pattern-list", ("mail-from" | "rcpt-to"):
                body, _, target = value.rpartition(" virtual-mta=")
                assert body.startswith("/")
                assert body.endswith("/i")
                self.patterns[name].append((word, re.compile(body[1:-2].replace("\\/", "/"), re.IGNORECASE), target))
            case "source", "default-virtual-mta":
                self.sources[name] = (value, None)
            case "source", "pattern-list":
                self.sources[name] = (self.sources[name][0], value)
            case "smtp-user", "source":
                self.users[name] = value.strip("{}")
            case _:
                raise AssertionError((kind, word))

    def outcome(self, name: str, sender: str, recipient: str) -> Outcome:
        if name not in self.users:
            return REFUSED
        pool, patterns = self.sources[self.users[name]]
        for kind, pattern, target in self.patterns.get(patterns or "", []):
            if pattern.search(sender if kind == "mail-from" else recipient):
                pool = target
                break
        vmtas = self.pools[pool]
        domain = recipient.rpartition("@")[2].lower()
        shares = {self.vmtas[each][0]: Fraction(1, len(vmtas)) for each in vmtas}
        limits = {self.vmtas[each][0]: Limits(-1, *nearest(self.vmtas[each][1], domain)) for each in vmtas}
        return Outcome(is_refused=False, shares=shares, limits=limits)


def nearest(domains: dict[str, tuple[int, int]], domain: str) -> tuple[int, int]:
    if domain in domains:
        return domains[domain]
    while "." in domain:
        domain = domain.partition(".")[2]
        if f"*.{domain}" in domains:
            return domains[f"*.{domain}"]
    return domains["*"]
