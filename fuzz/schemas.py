"""`python -m fuzz.schemas [--seconds 60] [--seed N]`: schemathesis over both dialects' OpenAPI, against a real panel.

Every check is on and every phase (examples, coverage, fuzzing, stateful links); `fuzz.contract` teaches it the dialects.
Ends with schemathesis's status: 0 where nothing was found.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from random import Random

from fuzz.cast import CAST, make_cast
from tools import panel

HERE = Path(__file__).parent


def main() -> int:
    parser = argparse.ArgumentParser(prog="fuzz.schemas", description=__doc__)
    parser.add_argument("--seconds", type=int, default=120, help="how long to go on")
    parser.add_argument("--seed", type=int, default=None, help="the printed seed of another run")
    parser.add_argument("rest", nargs="*", help="more for schemathesis, after --")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else Random().randrange(10**6)
    with tempfile.TemporaryDirectory(prefix="sluice-fuzz-") as folder, panel.running(Path(folder)) as sluice:
        cast = make_cast(sluice)
        told = {"url": sluice.url, "token": cast.token, "tenants": [asdict(each) for each in cast.tenants]}
        command = [
            sys.executable, "-m", "schemathesis.cli", "--config-file", str(HERE / "schemathesis.toml"), "run",
            f"{sluice.url}/api/schema/", "--seed", str(seed), "--max-time", str(options.seconds), *options.rest,
        ]  # fmt: skip
        environment = {**os.environ, CAST: json.dumps(told), "SCHEMATHESIS_HOOKS": "fuzz.contract"}
        return subprocess.run(command, env=environment, cwd=HERE.parent, check=False).returncode  # noqa: S603 - our own program


if __name__ == "__main__":
    sys.exit(main())
