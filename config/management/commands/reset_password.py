"""`manage.py reset_password [USERNAME]`: generate a new password for a user. `make reset-password` calls it."""

from argparse import ArgumentParser
from typing import Any

from django.core.management import CommandError

from config.operators import FIRST_OPERATOR, NoSuchUser, reset_password
from core.audit import Actor
from core.commands import PlainCommand


class Command(PlainCommand):
    help = "Give a user a new, generated password and print it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username", nargs="?", default=FIRST_OPERATOR)

    def handle(self, *args: Any, username: str, **options: Any) -> None:
        try:
            password = reset_password(username=username, actor=Actor.of_command("reset_password"))
        except NoSuchUser as problem:
            raise CommandError(str(problem)) from None
        self.stdout.write(f"The new password of {username}: {password}")
