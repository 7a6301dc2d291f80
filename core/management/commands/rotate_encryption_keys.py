"""`manage.py rotate_encryption_keys`: write every stored secret anew under the newest key."""

from typing import Any

from django.core.management import CommandError

from core.commands import ActCommand
from core.encryption import UnreadableCiphertext, rotate


class Command(ActCommand):
    help = "Write every stored secret anew under the first of SLUICE_ENCRYPTION_KEYS; after that the older keys may go."

    def act(self, **options: Any) -> dict[str, Any]:
        try:
            return {"secrets": rotate()}
        except UnreadableCiphertext:
            raise CommandError(
                "A stored secret is opened by none of SLUICE_ENCRYPTION_KEYS; what was written anew before it is kept. "
                "Add the key that wrote it, after the newest, and run this again."
            ) from None

    def describe(self, outcome: dict[str, Any]) -> str:
        return f"{outcome['secrets']} secrets are under the newest key."
