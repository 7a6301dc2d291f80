"""`python -m tests.fuzz.schemas [--seconds 120] [--seed N] [--production]`: schemathesis over both dialects' OpenAPI.

Against a real panel. Every check is on and every phase (examples, coverage, fuzzing, stateful links); `fuzz.contract` teaches
it the dialects. Ends with schemathesis's status: 0 where nothing was found.
"""

import argparse
import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from random import Random

from tests.fuzz import place
from tests.fuzz.cast import CAST, make_cast

HERE = Path(__file__).parent


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.fuzz.schemas", description=__doc__)
    parser.add_argument("--seconds", type=int, default=120, help="how long to go on")
    parser.add_argument("--seed", type=int, default=None, help="the printed seed of another run")
    parser.add_argument("--production", action="store_true", help="on PostgreSQL and Valkey, not on SQLite")
    parser.add_argument("rest", nargs="*", help="more for schemathesis, after --")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else Random().randrange(10**6)
    with place.running(production=options.production) as (sluice, _):
        cast = make_cast(sluice)
        told = {"url": sluice.url, "token": cast.token, "tenants": [asdict(each) for each in cast.tenants]}
        command = [
            sys.executable, "-m", "schemathesis.cli", "--config-file", str(HERE / "schemathesis.toml"), "run",
            f"{sluice.url}/api/schema/", "--seed", str(seed), "--max-time", str(options.seconds), *options.rest,
        ]  # fmt: skip
        environment = {**os.environ, CAST: json.dumps(told), "SCHEMATHESIS_HOOKS": "tests.fuzz.contract"}
        return subprocess.run(command, env=environment, cwd=HERE.parents[1], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
