"""Base class of the operators' commands: `--json`, and a refusal as one sentence on stderr."""

import errno
import json
from abc import ABC, abstractmethod
from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

from django.core.management import BaseCommand, CommandError
from django.db import InterfaceError, OperationalError, ProgrammingError

from core.audit import Actor
from core.errors import Refused
from core.texts import sentence

# A disk that is full, beyond its quota, or may only be read.
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
# PostgreSQL's code for a table that is not there.
_NO_TABLE = "42P01"


class WordedCommand(BaseCommand):
    """A command that ends in a sentence where an operator has to act, not in a traceback."""

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run the command; an argument that is not UTF-8 is refused where text is needed, be it only to look it up."""
        try:
            return super().execute(*args, **options)
        except UnicodeEncodeError as problem:
            # Python hands over such bytes as lone surrogates, which paths may have and no database takes.
            if problem.reason != "surrogates not allowed":
                raise
            raise CommandError("An argument has bytes that are not UTF-8.") from None
        except (OperationalError, InterfaceError) as problem:
            raise CommandError(f"The database cannot do it now: {_in_one_line(problem)}.") from problem
        except ProgrammingError as problem:
            if getattr(problem.__cause__, "sqlstate", None) != _NO_TABLE:
                raise
            raise CommandError("The database lacks tables: run `migrate` first.") from problem
        except OSError as problem:
            if problem.errno not in _NO_ROOM:
                raise
            raise CommandError(f"A file cannot be written: {_in_one_line(problem)}.") from problem


def _in_one_line(problem: Exception) -> str:
    return " ".join(str(problem).split()).rstrip(".")


class PlainCommand(WordedCommand):
    """A command of ours, without Django's system checks: they load both APIs and all pages of the panel, which takes longer
    than the rest of a command's start. `manage.py check` and `migrate` run them.
    """

    requires_system_checks = []


class ActCommand(PlainCommand, ABC):
    """A command that calls an act and prints its outcome.

    With `--json` stdout is exactly one JSON object; logs go to stderr. A refused act ends the command with status 1.
    """

    # Call the act, which takes the arguments by name, and return its outcome. The base class reports what the act refuses.
    act: Callable[..., dict[str, Any]]

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", dest="as_json", help="Print one JSON object, nothing else.")
        self.add_act_arguments(parser)

    def add_act_arguments(self, parser: ArgumentParser) -> None:
        """Add the arguments of the act. The default adds none."""

    @abstractmethod
    def describe(self, outcome: dict[str, Any]) -> str:
        """Return the outcome as text for a person."""

    @property
    def actor(self) -> Actor:
        """The actor that the audit trail records."""
        return Actor.of_command(type(self).__module__.rpartition(".")[2])

    def handle(self, *args: Any, as_json: bool, **options: Any) -> None:
        try:
            outcome = self.act(**options)
        except Refused as refusal:
            raise CommandError(f"{sentence(refusal.message.rstrip('.'))}.") from None
        self.stdout.write(json.dumps(outcome) if as_json else self.describe(outcome))
