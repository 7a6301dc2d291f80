from django.db import models
from django.db.models import Q

from core.keys import DIGEST_LENGTH
from servers.models import Server


class BounceCount(models.Model):
    """How many bounces of class "no such mailbox" an address has had from a server, while they are below the threshold."""

    server = models.ForeignKey(Server, on_delete=models.CASCADE, related_name="bounce_counts", db_index=False)
    digest = models.CharField(max_length=DIGEST_LENGTH)
    bounces = models.PositiveIntegerField()
    # The time of the latest; the counting begins anew when none has come for a while.
    bounced_at = models.DateTimeField()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                name="suppressions_bouncecount_unique",
                fields=["server", "digest"],
                violation_error_message="The bounces of this address are counted already",
            ),
            models.CheckConstraint(
                name="suppressions_bouncecount_bounces",
                condition=Q(bounces__gte=1),
                violation_error_message="At least one bounce is counted",
            ),
        ]
        indexes = [
            # What is past its counting? Asked by the daily clean-up.
            models.Index(name="suppressions_bouncecount_old", fields=["bounced_at"]),
        ]

    def __str__(self) -> str:
        return f"{self.bounces} bounces of {self.digest[:6]}"
