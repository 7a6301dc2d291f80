"""`python -m tests.lab [SCENARIO …] [--seed N] [--days N]`: what `make lab` runs. It exits with 1 where a bound is missed.

`--real postfix` and `--real haraka` run the scenarios of tests/lab/scenarios/real on a real node, in real time.
"""

import argparse
import contextlib
import os
import sys
import time

import django


def main() -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    # They have models, which are there from now on.
    from tests.lab import real
    from tests.lab.scenarios_in_order import SCENARIOS, run
    from tests.lab.throwaway import database

    parser = argparse.ArgumentParser(prog="python -m tests.lab", description=__doc__)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=", ".join(SCENARIOS))
    parser.add_argument("--seed", type=int, default=1, help="of all dice (1)")
    parser.add_argument("--days", type=int, help="virtual days, where the scenario's own are not wanted")
    parser.add_argument("--real", choices=["postfix", "haraka"], help="in real time, on a node of this kind (root)")
    parser.add_argument("--minutes", type=float, help="real minutes, where the scenario's own are not wanted")
    given = parser.parse_args()
    known = list(SCENARIOS) if given.real is None else real.SCENARIOS
    if unknown := sorted(set(given.scenarios) - set(known)):
        parser.error(f"there is no scenario {', '.join(unknown)}; there are {', '.join(known)}")
    if given.real is not None and (reason := real.why_not(given.real)):
        parser.error(reason)
    missed = []
    print("Receivers are models, and no provider's truth.\n")
    with database() if given.real is None else contextlib.nullcontext():
        for name in given.scenarios or known:
            began = time.monotonic()
            if given.real is None:
                title, story = run(name, seed=given.seed, days=given.days)
            else:
                title, story = real.run_alone(name, given.real, seed=given.seed, minutes=given.minutes)
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
