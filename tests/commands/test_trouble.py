"""What stops a command that an operator can put right is a sentence, and never a traceback."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import CommandError
from django.db import InterfaceError, OperationalError, ProgrammingError

import manage
from config.management.commands import up
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


def command(*arguments: str, folder: Path, **more):
    environment = {name: value for name, value in os.environ.items() if name not in PLACES}
    return subprocess.Popen(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=environment | {"SLUICE_DATA_DIR": str(folder)},
        stderr=subprocess.PIPE,
        text=True,
        **more,
    )


@pytest.mark.live
def test_a_closed_output_is_refused_before_anything_is_done(tmp_path: Path):
    with command("migrate", folder=tmp_path / "var", preexec_fn=lambda: os.close(1)) as running:
        assert running.stderr.read() == (
            "The standard output is closed. Nothing was done: what a command prints may be shown once.\n"
        )
    assert running.returncode == 1
    assert not (tmp_path / "var").exists()


@pytest.mark.live
def test_a_reader_that_ends_is_told_of_without_a_traceback(tmp_path: Path):
    reader, writer = os.pipe()
    os.close(reader)
    with command("help", folder=tmp_path / "var", stdout=writer) as running:
        os.close(writer)
        assert running.stderr.read() == "What reads the output has ended before the command.\n"
    assert running.returncode == 1


@pytest.mark.live
def test_a_closed_input_is_an_empty_one(tmp_path: Path):
    script = "import manage; manage.run = lambda: print(repr(manage.sys.stdin.read())); manage.main()"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        preexec_fn=lambda: os.close(0),
    )
    assert done.stdout == "''\n"


def test_an_interrupted_command_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def run():
        raise KeyboardInterrupt

    monkeypatch.setattr(manage, "run", run)
    with pytest.raises(SystemExit) as ended:
        manage.main()
    assert ended.value.code == 130
    assert capsys.readouterr().err == "Interrupted.\n"


@pytest.mark.parametrize("bind", ["", " ", "\u200b", "\udcff", "a" * 300])
def test_an_address_that_is_none_is_refused(bind: str):
    with pytest.raises(CommandError, match="listen"):
        up.refuse_busy_port(bind, 8000)
