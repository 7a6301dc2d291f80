from django.db import models

from core.constraints import not_empty
from core.models.user import User


class Identity(models.Model):
    """A person at an OpenID provider, who signs in as this user. The provider's own identifier counts, no e-mail address."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="identities")
    issuer = models.CharField(max_length=500)
    # Unique at the issuer, and never given to somebody else (OpenID Connect Core 1.0, section 2); at most 255 characters.
    subject = models.CharField(max_length=255)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name_plural = "identities"
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                name="core_identity_unique",
                fields=["issuer", "subject"],
                violation_error_message="This person of the provider signs in as a user already",
            ),
            models.UniqueConstraint(
                name="core_identity_one_an_issuer",
                fields=["user", "issuer"],
                violation_error_message="The user has an identity of this provider already",
            ),
            not_empty("core_identity_names", "issuer", "subject", message="An identity needs an issuer and a subject"),
        ]

    def __str__(self) -> str:
        return f"{self.user} by {self.issuer}"
