"""`manage.py create_api_token USERNAME NAME [--expires-in-days N] [--json]`: create a token and print its key once."""

import datetime
import json
from argparse import ArgumentParser
from typing import Any

from django.core.management import CommandError
from django.utils import timezone

from core.audit import Actor
from core.commands import PlainCommand
from core.errors import Invalid
from core.models import User
from core.tokens import create_token

# A century: beyond it dates end.
MOST_DAYS = 36_525


class Command(PlainCommand):
    """See the module."""

    help = "Create an API token, which replaces the user's password in HTTP Basic authentication, and print it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """USERNAME NAME [--expires-in-days N] [--json]"""
        parser.add_argument("username")
        parser.add_argument("name", help="purpose of the token")
        parser.add_argument("--expires-in-days", type=int, help="days until it expires (default: never)")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, username: str, name: str, expires_in_days: int | None, **options: Any) -> None:
        """Create the token and print it."""
        user = User.objects.filter(username=username).first()
        if user is None:
            raise CommandError(f"The user {username} could not be found")
        if expires_in_days is not None and not 1 <= expires_in_days <= MOST_DAYS:
            raise CommandError(f"--expires-in-days must be from 1 to {MOST_DAYS}")
        now = timezone.now()
        expires_at = None if expires_in_days is None else now + datetime.timedelta(days=expires_in_days)
        try:
            created = create_token(
                user=user, name=name, expires_at=expires_at, at=now, actor=Actor.of_command("create_api_token")
            )
        except Invalid as refusal:
            raise CommandError(refusal.message) from None
        if options["json"]:
            answer = {
                "id": created.token.pk,
                "username": username,
                "name": created.token.name,
                "token": created.key,
                "expires_at": expires_at.isoformat() if expires_at else None,
            }
            self.stdout.write(json.dumps(answer))
            return
        self.stdout.write(f"Token {created.token.pk} of {username}: {created.key}")
        if user.api_level == User.ApiLevel.NO:
            self.stderr.write(f"{username} has no API access yet: set the user's API level in the panel.")
