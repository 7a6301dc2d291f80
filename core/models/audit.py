from django.db import models
from django.db.models import Q


class AuditEntry(models.Model):
    """One change of a record. Append-only: on PostgreSQL a trigger refuses UPDATE and DELETE.

    It refers to nothing by foreign key, so what it tells outlives the records and the people it tells of.
    """

    class ActorKind(models.TextChoices):
        USER = "user", "User"
        CREDENTIAL = "credential", "Credential"
        COMMAND = "command", "Command"
        SYSTEM = "system", "Sluice"

    at = models.DateTimeField(auto_now_add=True)
    actor_kind = models.CharField(max_length=10, choices=ActorKind.choices)
    actor_id = models.BigIntegerField(null=True)
    actor_label = models.CharField(max_length=200)
    act = models.CharField(max_length=60)
    target_type = models.CharField(max_length=60)
    target_id = models.CharField(max_length=64)
    target_label = models.CharField(max_length=200)
    # The tenant who may read it; None for the platform alone.
    organization_id = models.BigIntegerField(null=True)
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    request_id = models.CharField(max_length=64, blank=True)

    class Meta:
        verbose_name = "audit entry"
        verbose_name_plural = "audit trail"
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                name="core_auditentry_actor_kind",
                condition=Q(actor_kind__in=["user", "credential", "command", "system"]),
                violation_error_message="The actor must be a user, a credential, a command or the platform",
            )
        ]
        indexes = [
            # A record's history.
            models.Index(name="core_audit_target", fields=["target_type", "target_id", "-id"]),
            # A tenant's trail.
            models.Index(name="core_audit_organization", fields=["organization_id", "-id"]),
        ]

    def __str__(self) -> str:
        words = self.act.replace(".", " ").replace("_", " ")
        return f"{words[:1].upper()}{words[1:]}: {self.target_label}"
