from django.db import models
from django.db.models import Q

from core.constraints import not_empty
from core.keys import DIGEST_LENGTH
from core.models import Key, KeyQuerySet
from core.names import NameKeyField
from ippools.models import IPAddress


class Node(Key):
    """A machine with one MTA. Its agent fetches the policy and reports, with its own key."""

    class Kind(models.TextChoices):
        POSTFIX = "postfix", "Postfix"
        HARAKA = "haraka", "Haraka"
        KUMOMTA = "kumomta", "KumoMTA"
        POWERMTA = "powermta", "PowerMTA"

    name = models.CharField(max_length=200)
    name_key = NameKeyField()
    kind = models.CharField(max_length=8, choices=Kind.choices)
    # The revision that it is to apply; null before the first publication that knows the node.
    revision = models.ForeignKey(
        "nodes.Revision", on_delete=models.PROTECT, null=True, editable=False, related_name="nodes"
    )
    # What applies on top of any revision; the number rises whenever the digest changes.
    overlay_number = models.PositiveBigIntegerField(default=0, editable=False)
    overlay_digest = models.CharField(max_length=DIGEST_LENGTH, blank=True, editable=False)
    updated_at = models.DateTimeField(auto_now=True)
    addresses = models.ManyToManyField(IPAddress, through="NodeAddress", related_name="nodes")

    objects = KeyQuerySet["Node"].as_manager()

    class Meta:
        ordering = ["name_key", "id"]
        constraints = [
            models.UniqueConstraint(
                name="nodes_node_name_unique",
                fields=["name_key"],
                violation_error_message="A node with this name exists already",
            ),
            not_empty("nodes_node_name", "name", message="A node needs a name"),
            models.CheckConstraint(
                name="nodes_node_kind",
                condition=Q(kind__in=["postfix", "haraka", "kumomta", "powermta"]),
                violation_error_message="A node's kind is postfix, haraka, kumomta or powermta",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class NodeAddress(models.Model):
    """The assignment of an address to a node: to at most one, so that machines never share a limit."""

    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="node_addresses")
    ip_address = models.OneToOneField(IPAddress, on_delete=models.CASCADE, related_name="node_address")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = "address of a node"
        verbose_name_plural = "addresses of nodes"
        ordering = ["ip_address_id"]

    def __str__(self) -> str:
        return f"{self.ip_address_id} on {self.node_id}"


class NodeReport(models.Model):
    """The latest report of a node's agent. A separate row, because it is written at any time."""

    node = models.OneToOneField(Node, on_delete=models.CASCADE, primary_key=True, related_name="report")
    # The last report; null: none yet.
    at = models.DateTimeField(null=True, editable=False)
    version = models.CharField(max_length=100, blank=True, editable=False)
    mta_version = models.CharField(max_length=100, blank=True, editable=False)
    revision_applied = models.PositiveBigIntegerField(null=True, editable=False)
    overlay_applied = models.PositiveBigIntegerField(null=True, editable=False)
    # Why it could not apply what it saw, as a sentence; empty: nothing is wrong.
    error = models.TextField(blank=True, editable=False)
    # The whole report, as the agent wrote it.
    body = models.JSONField(default=dict, editable=False)

    class Meta:
        verbose_name = "report of a node"
        verbose_name_plural = "reports of nodes"
        ordering = ["node_id"]

    def __str__(self) -> str:
        return f"report of {self.node_id}"
