import datetime
from typing import Self

from django.db import models

from core.constraints import not_empty
from core.encryption import CiphertextField


class SigningKeyQuerySet(models.QuerySet["SigningKey"]):
    def published(self, at: datetime.datetime) -> Self:
        """Keys that receivers may meet: those that sign, those that will, and those that signed until lately."""
        return self.filter(models.Q(expires_at=None) | models.Q(expires_at__gt=at))

    def signing(self, at: datetime.datetime) -> Self:
        """Keys whose time to sign has come; the first is the one that signs."""
        return self.published(at).filter(signs_from__lte=at).order_by("-signs_from", "-pk")


class SigningKey(models.Model):
    """An RSA key pair with which the platform signs its calls of webhooks.

    A new one is published before it signs, and the one before it stays published after it has signed for the last time.
    """

    # The thumbprint of the public key (RFC 7638).
    kid = models.CharField(max_length=64, unique=True)
    # PKCS #8 as PEM.
    private_key = CiphertextField()
    # Base64 of the DER public key, as in a DKIM record's p=.
    public_key = models.TextField()
    created_at = models.DateTimeField()
    signs_from = models.DateTimeField()
    # When it is no longer published. None: no other has taken its place.
    expires_at = models.DateTimeField(null=True)

    objects = SigningKeyQuerySet.as_manager()

    class Meta:
        ordering = ["signs_from", "id"]
        constraints = [
            not_empty(
                "webhooks_signingkey", "kid", "private_key", "public_key", message="A signing key has both halves"
            ),
            models.CheckConstraint(
                name="webhooks_signingkey_order",
                condition=models.Q(expires_at=None) | models.Q(expires_at__gt=models.F("signs_from")),
                violation_error_message="A key signs before it expires",
            ),
        ]

    def __str__(self) -> str:
        return self.kid
