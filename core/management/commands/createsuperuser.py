"""`manage.py createsuperuser`: Django's command, with an entry in the audit trail and `--json`."""

import json
from typing import Any

from django.contrib.auth.management.commands import createsuperuser
from django.core.management import CommandError, CommandParser

from core.audit import Actor, record
from core.commands import WordedCommand
from core.models import User
from core.users import document


class Command(WordedCommand, createsuperuser.Command):
    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--json",
            action="store_true",
            dest="as_json",
            help="Print one JSON object and ask nothing (as --noinput does).",
        )

    def handle(self, *args: Any, as_json: bool, **options: Any) -> None:
        last = User.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
        if as_json:
            options |= {"interactive": False, "verbosity": 0}
        # Not in a transaction of ours: it may ask, and SQLite would let nobody write while somebody thinks.
        super().handle(*args, **options)
        user = User.objects.filter(pk__gt=last, is_superuser=True).order_by("-pk").first()
        if user is None:
            raise CommandError("No superuser was created: give --username, DJANGO_SUPERUSER_PASSWORD and --noinput.")
        record(actor=Actor.of_command("createsuperuser"), act="user.created", target=user, after=document(user))
        if as_json:
            self.stdout.write(json.dumps({"id": user.pk, "username": user.username, "email": user.email}))
