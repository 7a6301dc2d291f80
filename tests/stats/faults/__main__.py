"""`python -m tests.stats.faults [--engine …] [--kills N] [--stops N] [--seed N]`: what `make faults` runs."""

import argparse
import random
import sys
import tempfile
from pathlib import Path

from tests.stats.faults import servers
from tools import servers as tool_servers


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=["postgresql", "sqlite", "both"], default="both")
    parser.add_argument("--kills", type=int, default=50, help="of each engine")
    parser.add_argument("--stops", type=int, default=5, help="how often PostgreSQL is stopped at once")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    given = parser.parse_args()
    status = 0
    with tool_servers.ended_by_signals():
        for engine in ["postgresql", "sqlite"] if given.engine == "both" else [given.engine]:
            stops = given.stops if engine == "postgresql" else 0
            print(f"== {engine}: {given.kills} kills, {stops} stops at once, --seed {given.seed}", flush=True)
            with tempfile.TemporaryDirectory(prefix="sluice-faults-") as folder:
                path = Path(folder)
                with (servers.postgresql if engine == "postgresql" else servers.sqlite)(path) as environment:
                    command = [
                        sys.executable,
                        "-m",
                        "tests.stats.faults.run",
                        str(given.kills),
                        str(stops),
                        str(given.seed),
                    ]
                    status = tool_servers.call(command, environment) or status
    return status


if __name__ == "__main__":
    sys.exit(main())
