"""Which panel is fuzzed: the embedded one on SQLite, or one on PostgreSQL and Valkey as in production."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.fuzz import zones
from tests.fuzz.state import PostgresqlRows, Rows, SqliteRows, State
from tools import panel, servers


@contextlib.contextmanager
def running(*, production: bool) -> Iterator[tuple[panel.Panel, State]]:
    """Run a panel with servers of its own, and a DNS that has hostile zones and no others; ends them all."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sluice-fuzz-")))
        places = {"SLUICE_DNS_SERVERS": stack.enter_context(zones.served()).address}
        if production:
            places |= stack.enter_context(servers.running())
        sluice = stack.enter_context(panel.running(folder, places, static=False))
        file = folder / "var" / "sluice.sqlite3"
        reader: Rows = PostgresqlRows(places["DATABASE_URL"]) if production else SqliteRows(file)
        state = stack.enter_context(contextlib.closing(State(reader)))
        yield sluice, state
