"""A database that is filled with what another became is the same as if it had been migrated."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools import migrated, panel, schema, servers

pytestmark = pytest.mark.live

# The rows that migrations make are there, and nothing is left to migrate.
LOOK = """
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from throttling.models import ThrottlingTemplate

executor = MigrationExecutor(connection)
print(ThrottlingTemplate.objects.exists(), len(executor.migration_plan(executor.loader.graph.leaf_nodes())))
"""


@contextlib.contextmanager
def empty(folder: Path, engine: str) -> Iterator[dict[str, str]]:
    with contextlib.ExitStack() as stack:
        places = stack.enter_context(servers.running()) if engine == "postgresql" else None
        yield panel.surroundings(folder, places) | {migrated.FOLDER: str(folder.parent)}


@pytest.mark.server
@pytest.mark.parametrize("engine", ["postgresql", pytest.param("sqlite", marks=pytest.mark.long)])
def test_the_second_is_as_the_first(tmp_path: Path, engine: str) -> None:
    runs: list[str] = []
    found = []
    for name in ("first", "second"):
        with empty(tmp_path / name, engine) as environment:

            def migrate(name: str = name, environment: dict[str, str] = environment) -> None:
                runs.append(name)
                panel.manage(environment, "migrate", "--verbosity", "0")

            assert schema.is_empty(environment)
            migrated.migrated(environment, migrate)
            # Where tables are, they are migrated: never filled.
            assert not schema.is_empty(environment)
            found.append(schema.described(environment))
            if name == "second":
                assert panel.manage(environment, "shell", "-v0", "-c", LOOK).split() == ["True", "0"]
    assert runs == ["first"]
    assert found[0] == found[1]
