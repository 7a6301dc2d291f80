"""`manage.py export_agent DIR`: write what a node is given."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management import CommandError

from core.commands import PlainCommand
from nodes.agent_file import export_agent


class Command(PlainCommand):
    help = "Write the agent of a node into a folder: one Python program, its systemd unit, and Haraka's plug-in."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", metavar="DIR", type=Path)

    def handle(self, *args: Any, folder: Path, **options: Any) -> None:
        try:
            written = export_agent(folder)
        except OSError as problem:
            raise CommandError(str(problem)) from None
        self.stdout.write("\n".join(map(str, written)))
