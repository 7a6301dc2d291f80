from django.db import models
from django.db.models import Q

from core.constraints import not_empty
from core.models import Key, KeyQuerySet
from core.names import NameKeyField


class IngestToken(Key):
    """A key of the platform with which a collector reports events of any server. It is shown once."""

    name = models.CharField(max_length=200)
    name_key = NameKeyField()

    objects = KeyQuerySet["IngestToken"].as_manager()

    class Meta:
        ordering = ["name_key", "id"]
        constraints = [
            models.UniqueConstraint(
                name="stats_ingesttoken_name_unique",
                fields=["name_key"],
                condition=Q(revoked_at=None),
                violation_error_message="An ingest token with this name exists already",
            ),
            not_empty("stats_ingesttoken_name", "name", message="An ingest token needs a name"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.key_prefix}…)"
