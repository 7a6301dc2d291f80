"""Running a command as an operator would, within the test's own process and transaction."""

import json
from dataclasses import dataclass
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command


@dataclass(frozen=True)
class Ended:
    """What a command wrote before it ended, and the error that ended it, if any."""

    stdout: str
    stderr: str
    error: str

    @property
    def document(self) -> Any:
        """The one JSON object on stdout, and nothing beside it."""
        assert self.error == ""
        assert self.stderr == ""
        assert self.stdout.count("\n") == 1
        assert self.stdout.endswith("\n")
        return json.loads(self.stdout)


@pytest.fixture
def run():
    def run(command: str, *arguments: str) -> Ended:
        stdout, stderr, error = StringIO(), StringIO(), ""
        try:
            call_command(command, *arguments, stdout=stdout, stderr=stderr)
        except CommandError as refusal:
            # manage.py writes it to stderr and ends with status 1.
            error = str(refusal)
        return Ended(stdout.getvalue(), stderr.getvalue(), error)

    return run
