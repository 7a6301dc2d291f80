"""`manage.py export_agent DIR`: write what a node is given."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management import BaseCommand, CommandError

from nodes.agent_file import export_agent


class Command(BaseCommand):
    help = "Write the agent of a node into a folder: one Python program, its systemd unit, and Haraka's plug-in."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", metavar="DIR", type=Path)

    def handle(self, *args: Any, folder: Path, **options: Any) -> None:
        try:
            written = export_agent(folder)
        except OSError as problem:
            raise CommandError(str(problem)) from None
        self.stdout.write("\n".join(map(str, written)))
