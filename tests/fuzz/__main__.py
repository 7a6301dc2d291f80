"""`python -m tests.fuzz [--seconds 60] [--seed N] [--production]`: odd requests against a real panel.

Ends with status 1 at the first answer that is no dialect's, that is a crash, or that was a refusal and yet changed something;
it prints the request's bytes and the seed that make it again.
"""

import argparse
import base64
import collections
import sys
import time
from random import Random

from tests.fuzz import corpus, judge, mutate, place, transport
from tests.fuzz.cast import Cast, make_cast
from tests.fuzz.state import State


def main() -> int:
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="how long to go on")
    parser.add_argument("--seed", type=int, default=None, help="the printed seed of another run")
    parser.add_argument("--production", action="store_true", help="on PostgreSQL and Valkey, not on SQLite")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else Random().randrange(10**6)
    print(f"seed {seed}", flush=True)
    with place.running(production=options.production) as (sluice, state):
        return fuzz(sluice.url, make_cast(sluice), state, Random(seed), until=time.monotonic() + options.seconds)
    raise AssertionError("unreachable")


def fuzz(url: str, cast: Cast, state: State, random: Random, *, until: float) -> int:
    """Send requests until the time is over; return 1 at the first fault."""
    seeds = corpus.postal() + corpus.greenarrow()
    answers: collections.Counter[tuple[int, bool]] = collections.Counter()
    before = state.digests()
    while time.monotonic() < until:
        seed = random.choice(seeds)
        is_postal = seed.path.startswith(judge.POSTAL)
        made = mutate.request(seed, random, cast.ids(state, random))
        for name, secret in (cast.postal_headers(random) if is_postal else cast.greenarrow_headers()).items():
            made.headers.setdefault(name, secret)
        answer = transport.send(url, made)
        verdict = judge.judge(made, answer)
        after = state.digests()
        fault = verdict.fault
        if verdict.is_refused and answer.status and after != before:
            changed = [table for table in after if after[table] != before.get(table)]
            fault = fault or f"refused, and yet something changed: {', '.join(changed)}"
        if fault:
            print(
                f"{fault}\n{made.method} {made.target}\n{made.headers}\nbody (base64): {base64.b64encode(made.body).decode()}"
            )
            print(f"HTTP {answer.status} {answer.body[:2000]!r}")
            return 1
        before = after
        answers[answer.status, verdict.is_refused] += 1
        if not verdict.is_refused and (renewed := cast.again(url, state)) is not cast:
            cast, before = renewed, state.digests()
    for (status, is_refused), count in sorted(answers.items()):
        print(f"{count:7,} answers HTTP {status}, {'refused' if is_refused else 'done'}")
    print(f"{sum(answers.values()):,} requests: no crash, none outside its dialect, no change by a refused one")
    return 0


if __name__ == "__main__":
    sys.exit(main())
