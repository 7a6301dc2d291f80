from django.db import models
from django.db.models import Q

from core.keys import DIGEST_LENGTH


class Revision(models.Model):
    """One published state of the configuration, with the policies of all nodes. Immutable."""

    class Kind(models.TextChoices):
        AUTOMATIC = "automatic", "Published by itself"
        PUBLISHED = "published", "Published on request"
        CANARY = "canary", "On some nodes first"
        ROLLBACK = "rollback", "An earlier revision again"

    number = models.PositiveBigIntegerField(unique=True, editable=False)
    kind = models.CharField(max_length=9, choices=Kind.choices, editable=False)
    # Over the digests of the nodes' policies.
    digest = models.CharField(max_length=DIGEST_LENGTH, editable=False)
    # The number of the earlier revision that this one repeats, for a rollback.
    repeats = models.PositiveBigIntegerField(null=True, editable=False)
    # What the audit trail has since the revision before: how many entries, and the newest of them in short.
    changes = models.JSONField(default=dict, editable=False)
    # The newest entry of the audit trail that it was made after.
    audit_id = models.PositiveBigIntegerField(default=0, editable=False)
    actor_label = models.CharField(max_length=200, editable=False)
    created_at = models.DateTimeField(editable=False)

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.CheckConstraint(
                name="nodes_revision_kind",
                condition=Q(kind__in=["automatic", "published", "canary"], repeats=None)
                | Q(kind="rollback", repeats__isnull=False),
                violation_error_message="Only a rollback repeats an earlier revision",
            ),
        ]

    def __str__(self) -> str:
        return f"r{self.number}"


class PolicyText(models.Model):
    """A text of a compiled policy, stored once however many policies have it: compressed by zlib, found by its SHA-256."""

    digest = models.CharField(max_length=DIGEST_LENGTH, unique=True, editable=False)
    body = models.BinaryField(editable=False)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.digest[:12]


class NodePolicy(models.Model):
    """The compiled policy of one node, shared by all revisions in which it is the same.

    The node is named as values: what was published outlives it.
    """

    node_id = models.BigIntegerField(editable=False)
    node_name = models.CharField(max_length=200, editable=False)
    kind = models.CharField(max_length=8, editable=False)
    # The revision in which it was new: the one that the files name.
    number = models.PositiveBigIntegerField(editable=False)
    # Of the policy without its number, and of the compiler.
    digest = models.CharField(max_length=DIGEST_LENGTH, editable=False)
    # Digests of texts: the policy itself and the tags, as JSON, and each file by its path.
    policy = models.CharField(max_length=DIGEST_LENGTH, editable=False)
    sources = models.CharField(max_length=DIGEST_LENGTH, editable=False)
    files = models.JSONField(default=dict, editable=False)
    # Ids of its VirtualMTAs and of its servers: what the overlay is read for.
    virtual_mtas = models.JSONField(default=list, editable=False)
    servers = models.JSONField(default=list, editable=False)
    # The names of these servers in the files, `organization/server`, in the same order: the overlay uses them too, whatever the
    # servers are called by then.
    server_names = models.JSONField(default=list, editable=False)
    fidelity = models.JSONField(default=list, editable=False)

    class Meta:
        verbose_name = "policy of a node"
        verbose_name_plural = "policies of nodes"
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                name="nodes_nodepolicy_number_unique",
                fields=["node_id", "number"],
                violation_error_message="A revision has one policy for a node",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.node_name} in r{self.number}"


class RevisionPolicy(models.Model):
    """The policy of a node in a revision."""

    revision = models.ForeignKey(Revision, on_delete=models.CASCADE, related_name="policies")
    policy = models.ForeignKey(NodePolicy, on_delete=models.PROTECT, related_name="revisions")

    class Meta:
        ordering = ["policy_id"]
        constraints = [
            models.UniqueConstraint(
                name="nodes_revisionpolicy_unique",
                fields=["revision", "policy"],
                violation_error_message="A revision has one policy for a node",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.policy} for {self.revision}"


class Publication(models.Model):
    """The published revision and the trial, as one row, which publishing locks."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    # The newest revision; null: none yet.
    revision = models.ForeignKey(Revision, on_delete=models.PROTECT, null=True, editable=False, related_name="+")
    # The state of the audit trail at which the configuration was last compared with the newest revision, and when.
    checked = models.CharField(max_length=100, blank=True, editable=False)
    checked_at = models.DateTimeField(null=True, editable=False)
    # A trial: the revision that some nodes have first, the one that the others keep meanwhile, and when it began and ends.
    canary = models.ForeignKey(Revision, on_delete=models.PROTECT, null=True, editable=False, related_name="+")
    canary_before = models.ForeignKey(Revision, on_delete=models.PROTECT, null=True, editable=False, related_name="+")
    canary_began_at = models.DateTimeField(null=True, editable=False)
    canary_ends_at = models.DateTimeField(null=True, editable=False)
    # Percentage points by which the accepted share may be below that of the other nodes.
    canary_margin = models.PositiveSmallIntegerField(null=True, editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="nodes_publication_one",
                condition=Q(id=1),
                violation_error_message="There is one publication",
            ),
            models.CheckConstraint(
                name="nodes_publication_canary",
                condition=Q(
                    canary=None, canary_before=None, canary_began_at=None, canary_ends_at=None, canary_margin=None
                )
                | Q(
                    canary__isnull=False,
                    canary_before__isnull=False,
                    canary_began_at__isnull=False,
                    canary_ends_at__isnull=False,
                    canary_margin__isnull=False,
                ),
                violation_error_message="A trial has a revision, one to go back to, a beginning, an end and a margin",
            ),
        ]

    def __str__(self) -> str:
        return "publication"

    def end_trial(self) -> None:
        """Clear the trial, if there is one; the caller saves."""
        self.canary = self.canary_before = self.canary_began_at = self.canary_ends_at = self.canary_margin = None
