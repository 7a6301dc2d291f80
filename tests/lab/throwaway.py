"""A database for one run, thrown away after it; and one scenario at a time in it."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import transaction
from django.test.runner import DiscoverRunner


@contextmanager
def database() -> Iterator[None]:
    """Make a database with all migrations, and remove it."""
    runner = DiscoverRunner(verbosity=0, interactive=False)
    made = runner.setup_databases()
    try:
        yield
    finally:
        runner.teardown_databases(made)


@contextmanager
def rolled_back() -> Iterator[None]:
    """Undo everything at the end, so that the next scenario finds an empty platform."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)
