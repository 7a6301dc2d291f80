"""`manage.py revoke_api_token ID`: revoke a token at once."""

from argparse import ArgumentParser
from typing import Any

from django.core.management import CommandError
from django.utils import timezone

from core.audit import Actor
from core.commands import PlainCommand
from core.models import ApiToken
from core.tokens import revoke_token


class Command(PlainCommand):
    """See the module."""

    help = "Revoke an API token at once, by the id that create_api_token and the panel show."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """ID"""
        parser.add_argument("token_id", type=int, metavar="ID")

    def handle(self, *args: Any, token_id: int, **options: Any) -> None:
        """Revoke the token. Revoking it again changes nothing."""
        token = ApiToken.objects.filter(pk=token_id).first()
        if token is None:
            raise CommandError(f"The API token {token_id} could not be found")
        revoked = revoke_token(token=token, at=timezone.now(), actor=Actor.of_command("revoke_api_token"))
        self.stdout.write(f"{token} {'is revoked' if revoked else 'was already revoked'}")
