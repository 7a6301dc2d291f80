"""The linter of migrations refuses what the code of the last release would not live through."""

import pytest

from stats.ledger import storage
from tests.config.test_migrations import empty
from tools import lint_migrations

__all__ = ["empty"]
pytestmark = [pytest.mark.storage, pytest.mark.server]


def test_a_column_that_old_code_leaves_out_is_refused(empty: dict[str, str]) -> None:
    pytest.importorskip("django_migration_linter", reason="it comes with make install-dev, as make check does")
    if not storage.is_postgresql():
        pytest.skip("it reads PostgreSQL's statements")
    done = lint_migrations.lint("0.1.0", empty, "--include-apps", "servers")
    assert done.returncode == 1, done.stderr[-3000:]
    # The one NOT NULL without a default of the database's own; the new tables before it harm nobody.
    assert "(servers, 0007_suspended_by_platform)... ERR\n\tNOT NULL constraint on columns" in done.stdout
    assert done.stdout.count("... ERR") == 1


def test_only_a_release_that_may_run_somewhere_counts() -> None:
    assert lint_migrations.is_published("0.0.9")
