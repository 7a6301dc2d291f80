"""`manage.py first_operator`: create the first superuser of an installation and print the password once."""

from typing import Any

from config.operators import make_first_operator
from core.audit import Actor
from core.commands import PlainCommand


class Command(PlainCommand):
    help = "Create the first superuser with a generated password and print it; do nothing if there is a superuser."

    def handle(self, *args: Any, **options: Any) -> None:
        operator = make_first_operator(actor=Actor.of_command("first_operator"))
        if operator is None:
            self.stdout.write("There is a superuser already; `reset_password NAME` gives a new password.")
        else:
            self.stdout.write(f"Sign in as {operator.username} with the password {operator.password}")
