"""Migrates databases of panels that tests start: the first of a run by its migrations, the others by what that became.

The migrations of a fresh database take ten seconds of a processor, and a run of the tests starts some forty panels.
"""

import fcntl
from collections.abc import Callable, Mapping
from pathlib import Path

from tools import schema

# The folder of a run that keeps what a migrated database holds; `make test` sets it and removes the folder.
FOLDER = "SLUICE_MIGRATED"


def migrated(environment: Mapping[str, str], migrate: Callable[[], object]) -> None:
    """Bring an environment's database to the newest schema, by `migrate` where none was kept or it has tables already."""
    # Two databases have a part of the tables each, which no kept one says.
    if FOLDER not in environment or environment.get("STATS_DATABASE_URL") or not schema.is_empty(environment):
        migrate()
        return
    kept = Path(environment[FOLDER]) / f"{schema.engine_of(environment)}.sql"
    with kept.with_suffix(".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            migrate()
            unfinished = kept.with_suffix(".part")
            unfinished.write_text(schema.dumped(environment))
            unfinished.rename(kept)
            return
    schema.fill(kept.read_text(), environment)
