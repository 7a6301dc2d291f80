"""`python -m tests.lab [SCENARIO …] [--seed N] [--days N]`: what `make lab` runs. It exits with 1 where a bound is missed."""

import argparse
import os
import sys
import time

import django


def main() -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    # They have models, which are there from now on.
    from tests.lab.scenarios_in_order import SCENARIOS, run
    from tests.lab.throwaway import database

    parser = argparse.ArgumentParser(prog="python -m tests.lab", description=__doc__)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=", ".join(SCENARIOS))
    parser.add_argument("--seed", type=int, default=1, help="of all dice (1)")
    parser.add_argument("--days", type=int, help="virtual days, where the scenario's own are not wanted")
    given = parser.parse_args()
    if unknown := sorted(set(given.scenarios) - set(SCENARIOS)):
        parser.error(f"there is no scenario {', '.join(unknown)}; there are {', '.join(SCENARIOS)}")
    missed = []
    print("Receivers are models, and no provider's truth.\n")
    with database():
        for name in given.scenarios or SCENARIOS:
            began = time.monotonic()
            title, story = run(name, seed=given.seed, days=given.days)
            print(
                f"{name}: {title} (seed {given.seed})\n{story.text()}\n  {time.monotonic() - began:.0f} s\n", flush=True
            )
            if not story.holds:
                missed.append(name)
    if missed:
        print(f"Bounds were missed: {', '.join(missed)}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
