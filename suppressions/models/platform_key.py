from django.db import models
from django.db.models import Q

from core.constraints import not_empty
from core.encryption import CiphertextField


class PlatformKey(models.Model):
    """The platform's key of suppressions, as one row: 32 random bytes in base64, encrypted.

    It never changes: the addresses that digests were made from are not kept. Rotating the encryption keys writes it anew.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    secret = CiphertextField()
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="suppressions_platformkey_one",
                condition=Q(id=1),
                violation_error_message="There is one key of suppressions",
            ),
            not_empty("suppressions_platformkey", "secret", message="A key has a secret"),
        ]

    def __str__(self) -> str:
        return "key of suppressions"
