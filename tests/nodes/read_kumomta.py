"""What KumoMTA's Lua does, run in a stock Lua with a stand-in for `kumo`, which calls the events and prints what comes."""

import shutil
import subprocess
from fractions import Fraction
from pathlib import Path

from nodes.policy.compiled import Compiled
from nodes.policy.kumomta import UNLIMITED
from nodes.policy.model import Overlay
from tests.nodes.slow import REFUSED, Limits, Outcome

LUA = shutil.which("lua5.4") or shutil.which("lua")
STAND_IN = Path(__file__).parent / "kumo.lua"


class KumoMTA:
    """Questions are collected and asked at once: a Lua of its own for each would take longer than the rest."""

    def __init__(self, compiled: Compiled, overlay: Overlay) -> None:
        self.module = compiled.files["sluice.lua"]
        # Known only to the test: the addresses behind the names of sources.
        self.limits_are_unlimited = UNLIMITED

    def outcomes(self, questions: list[tuple[str, str, str]], folder: Path) -> list[Outcome]:
        (folder / "sluice.lua").write_text(self.module)
        asked = "".join("\t".join(question) + "\n" for question in questions)
        done = subprocess.run(
            [LUA, STAND_IN, folder / "sluice.lua"], input=asked, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr
        lines = done.stdout.splitlines()
        assert len(lines) == len(questions)
        return [self._read(line) for line in lines]

    def _read(self, line: str) -> Outcome:
        if line == "refused":
            return REFUSED
        shares: dict[str, Fraction] = {}
        limits = {}
        entries = [each.split(",") for each in line.split(" ")[1:]]
        total = sum(int(entry[1]) for entry in entries)
        for ip, weight, connections, rate, counter, shared_connections, shared_rate in entries:
            shares[ip] = shares.get(ip, Fraction(0)) + Fraction(int(weight), total)
            rule = int(counter.rpartition("-r")[2] or 0)
            limit = 0 if int(connections) == self.limits_are_unlimited else int(connections)
            per_hour = int(rate.removesuffix("/h") or 0)
            # One counter of the rule, and each path no wider than it.
            if counter:
                assert shared_connections in ("", connections)
                assert shared_rate in ("", rate)
            limits[ip] = Limits(rule, limit, per_hour)
        return Outcome(is_refused=False, shares=shares, limits=limits)
