"""`python -m fuzz [--seconds 60] [--seed N]`: odd requests against a real panel, on SQLite.

Ends with status 1 at the first answer that is no dialect's, that is a crash, or that was a refusal and yet changed something;
it prints the request's bytes and the seed that make it again.
"""

import argparse
import base64
import collections
import sys
import tempfile
import time
from pathlib import Path
from random import Random

from fuzz import corpus, judge, mutate, transport
from fuzz.cast import Cast, make_cast
from fuzz.state import State
from tools import panel


def main() -> int:
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="how long to go on")
    parser.add_argument("--seed", type=int, default=None, help="the printed seed of another run")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else Random().randrange(10**6)
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="sluice-fuzz-") as folder, panel.running(Path(folder)) as sluice:
        cast = make_cast(sluice)
        state = State(Path(folder) / "var" / "sluice.sqlite3")
        try:
            return fuzz(sluice.url, cast, state, Random(seed), until=time.monotonic() + options.seconds)
        finally:
            state.close()


def fuzz(url: str, cast: Cast, state: State, random: Random, *, until: float) -> int:
    """Send requests until the time is over; return 1 at the first fault."""
    seeds = corpus.postal() + corpus.greenarrow()
    answers: collections.Counter[tuple[int, bool]] = collections.Counter()
    before = state.digest()
    while time.monotonic() < until:
        seed = random.choice(seeds)
        is_postal = seed.path.startswith(judge.POSTAL)
        made = mutate.request(seed, random, cast.ids(state, random))
        for name, secret in (cast.postal_headers(random) if is_postal else cast.greenarrow_headers()).items():
            made.headers.setdefault(name, secret)
        answer = transport.send(url, made)
        verdict = judge.judge(made, answer)
        after = state.digest()
        fault = verdict.fault
        if verdict.is_refused and answer.status and after != before:
            fault = fault or "refused, and yet something changed"
        if fault:
            print(
                f"{fault}\n{made.method} {made.target}\n{made.headers}\nbody (base64): {base64.b64encode(made.body).decode()}"
            )
            print(f"HTTP {answer.status} {answer.body[:2000]!r}")
            return 1
        before = after
        answers[answer.status, verdict.is_refused] += 1
        if not verdict.is_refused:
            cast = cast.again(url, state)
    for (status, is_refused), count in sorted(answers.items()):
        print(f"{count:7,} answers HTTP {status}, {'refused' if is_refused else 'done'}")
    print(f"{sum(answers.values()):,} requests: no crash, none outside its dialect, no change by a refused one")
    return 0


if __name__ == "__main__":
    sys.exit(main())
