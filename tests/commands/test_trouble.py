"""What stops a command that an operator can put right is a sentence, and never a traceback."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import CommandError
from django.db import InterfaceError, OperationalError, ProgrammingError

from core.commands import PlainCommand, WordedCommand
from tests.config.test_start import commands_of_ours
from tools.panel import PLACES, ROOT

NO_TABLE = type("UndefinedTable", (Exception,), {"sqlstate": "42P01"})


def failing(problem, cause=None):
    class Command(PlainCommand):
        def handle(self, *args, **options):
            raise problem from cause

    return Command()


@pytest.mark.parametrize(
    ("problem", "cause", "sentence"),
    [
        (OperationalError("failed:\n  no route."), None, "The database cannot do it now: failed: no route."),
        (InterfaceError("the connection is closed"), None, "The database cannot do it now: the connection is closed."),
        (ProgrammingError('relation "x" …'), NO_TABLE(), "The database lacks tables: run `migrate` first."),
        (OSError(errno.ENOSPC, "No space left"), None, "A file cannot be written: [Errno 28] No space left."),
        (OSError(errno.EROFS, "Read-only", "/v"), None, "A file cannot be written: [Errno 30] Read-only: '/v'."),
    ],
)  # fmt: skip
def test_it_works(problem, cause, sentence):
    with pytest.raises(CommandError) as caught:
        failing(problem, cause).execute(no_color=True, force_color=False, skip_checks=True)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    "problem", [ProgrammingError("syntax error"), OSError(errno.ENOENT, "No such file"), KeyError("x")]
)
def test_a_fault_of_ours_keeps_its_traceback(problem):
    with pytest.raises(type(problem)):
        failing(problem).execute(no_color=True, force_color=False, skip_checks=True)


def test_every_command_has_it():
    assert {name for name, command in commands_of_ours().items() if not issubclass(command, WordedCommand)} == set()


@pytest.mark.live
@pytest.mark.parametrize("command", ["load_demo", "migrate", "first_operator"])
def test_a_disk_that_takes_nothing_ends_in_a_sentence(command: str, tmp_path: Path):
    # What a process may write to a file: enough for its secrets, and for no table.
    limited = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024));"
        f"sys.argv = ['manage.py', {command!r}]; import manage; manage.main()"
    )
    environment = {name: value for name, value in os.environ.items() if name not in PLACES}
    done = subprocess.run(
        [sys.executable, "-c", limited],
        cwd=ROOT,
        env=environment | {"SLUICE_DATA_DIR": str(tmp_path / "var")},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("CommandError: The database cannot do it now: ")
