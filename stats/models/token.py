from typing import Self

from django.db import models
from django.db.models import Q

from core.keys import DIGEST_LENGTH, PREFIX_LENGTH
from core.names import NameKeyField


class IngestTokenQuerySet(models.QuerySet["IngestToken"]):
    def usable(self) -> Self:
        return self.filter(revoked_at=None)


class IngestToken(models.Model):
    """A key of the platform with which a collector reports events of any server. It is shown once."""

    name = models.CharField(max_length=200)
    name_key = NameKeyField()
    key_prefix = models.CharField(max_length=PREFIX_LENGTH, editable=False)
    key_digest = models.CharField(max_length=DIGEST_LENGTH, unique=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = IngestTokenQuerySet.as_manager()

    class Meta:
        ordering = ["name_key", "id"]
        constraints = [
            models.UniqueConstraint(
                name="stats_ingesttoken_name_unique",
                fields=["name_key"],
                condition=Q(revoked_at=None),
                violation_error_message="An ingest token with this name exists already",
            ),
            models.CheckConstraint(
                name="stats_ingesttoken_name_not_empty",
                condition=~Q(name=""),
                violation_error_message="An ingest token needs a name",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.key_prefix}…)"
