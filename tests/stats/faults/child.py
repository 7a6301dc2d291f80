"""A process to be killed: `python -m tests.stats.faults.child ingest|fold NOW STAGE OCCURRENCE [BATCHES]`.

It says `ack N` for each batch that is committed, `at STAGE` where it waits to be killed, and `done` at the end.
"""

import datetime
import os
import select
import sys
from pathlib import Path

import django
import orjson

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")


def main(role: str, now: str, stage: str, occurrence: str, batches: str = "") -> None:
    django.setup()
    from tests.stats.faults.stages import Stages, say

    Stages(stage, int(occurrence)).watch()
    moment = datetime.datetime.fromisoformat(now)
    if role == "ingest":
        ingest_all(Path(batches), moment)
    else:
        fold_until_told(moment)
    say("done")


def ingest_all(path: Path, now: datetime.datetime) -> None:
    from stats.intake.ingest import Reporter, ingest
    from tests.stats.faults.stages import say

    for number, events in orjson.loads(path.read_bytes()):
        receipt = ingest(events, reporter=Reporter(), now=now)
        assert not receipt.refused, receipt.refused
        assert receipt.accepted + receipt.duplicates == len(events)
        say(f"ack {number}")


def fold_until_told(now: datetime.datetime) -> None:
    """Fold little by little, so that there are many folds to be killed in, until a line comes."""
    from stats.counts import fold
    from stats.ledger.storing import storage

    storage.fold_limit = lambda: 3
    while not select.select([sys.stdin], [], [], 0.01)[0]:
        fold.fold_all(now=now)
    fold.fold_all(now=now)


if __name__ == "__main__":
    main(*sys.argv[1:])
