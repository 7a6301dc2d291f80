"""The linter of migrations refuses what the code of the last release would not live through."""

import shutil
from pathlib import Path

import pytest

from stats.ledger import storage
from tests.config.test_migrations import empty
from tools import lint_migrations

__all__ = ["empty"]
pytestmark = [pytest.mark.storage, pytest.mark.server]


LATER = """
from django.db import migrations, models

class Migration(migrations.Migration):
    dependencies = [("webhooks", "{after}")]
    operations = [migrations.AddField("delivery", "{name}", models.CharField(max_length=9, {options}))]
"""
SETTINGS = """
from tools.migration_settings import *

MIGRATION_MODULES = {"webhooks": "later"}
"""


def test_a_column_that_old_code_leaves_out_is_refused(empty: dict[str, str], tmp_path: Path) -> None:
    pytest.importorskip("django_migration_linter", reason="it comes with make install-dev, as make check does")
    if not storage.is_postgresql():
        pytest.skip("it reads PostgreSQL's statements")
    shutil.copytree(lint_migrations.ROOT / "webhooks" / "migrations", tmp_path / "later")
    for after, name, options in (
        ("0001_squashed", "0002_note", "null=True"),
        ("0002_note", "0003_colour", 'default=""'),
        ("0003_colour", "0004_size", 'default="", db_default=""'),
    ):
        (tmp_path / "later" / f"{name}.py").write_text(LATER.format(after=after, name=name[5:], options=options))
    (tmp_path / "later_settings.py").write_text(SETTINGS)
    environment = empty | {"DJANGO_SETTINGS_MODULE": "later_settings", "PYTHONPATH": str(tmp_path)}
    done = lint_migrations.lint("0.1.0", environment, "--include-apps", "webhooks")
    assert done.returncode == 1, done.stderr[-3000:]
    # The one NOT NULL without a default of the database's own.
    assert "(webhooks, 0003_colour)... ERR\n\tNOT NULL constraint on columns" in done.stdout
    assert done.stdout.count("... ERR") == 1


def test_only_a_release_that_may_run_somewhere_counts() -> None:
    assert lint_migrations.is_published("0.0.9")
