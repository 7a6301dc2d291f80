"""`manage.py migrate`: Django's own, of both databases where the statistics have one of their own."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.commands import migrate
from django.db import connections, transaction

from core.commands import WordedCommand
from stats.ledger.database import ALIAS, CONFIGURATION


class Command(WordedCommand, migrate.Command):
    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)  # type: ignore[arg-type]  # the types want Django's own class
        # Unless one is named: all that have tables of ours.
        parser.set_defaults(database=None)

    def get_check_kwargs(self, options: Any) -> Any:
        for database in _databases(options):
            # One that cannot be written is told as that: Django's checks would find that it has no JSON.
            with transaction.atomic(using=database), connections[database].cursor() as cursor:
                cursor.execute("SELECT 1")
        return {**super().get_check_kwargs(options), "databases": _databases(options)}

    def handle(self, *args: Any, **options: Any) -> None:
        for database in _databases(options):
            super().handle(*args, **{**options, "database": database})


def _databases(options: Any) -> list[str]:
    return [options["database"]] if options["database"] else list(dict.fromkeys((CONFIGURATION, ALIAS)))
