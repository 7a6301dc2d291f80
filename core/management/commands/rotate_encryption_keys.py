"""`manage.py rotate_encryption_keys`: encrypt every stored secret again with the newest key."""

from typing import Any

from django.core.management import CommandError

from core.commands import ActCommand
from core.encryption import UnreadableCiphertext, rotate


class Command(ActCommand):
    help = (
        "Encrypt every stored secret again with the first key of SLUICE_ENCRYPTION_KEYS. The older keys "
        "can be removed afterwards."
    )

    def act(self, **options: Any) -> dict[str, Any]:
        try:
            return {"secrets": rotate()}
        except UnreadableCiphertext:
            raise CommandError(
                "No key of SLUICE_ENCRYPTION_KEYS decrypts a stored secret. Secrets that were encrypted again before it "
                "stay so. Add its key after the newest one, and run the command again."
            ) from None

    def describe(self, outcome: dict[str, Any]) -> str:
        return f"{outcome['secrets']} secrets are encrypted with the newest key."
