from django.db import models
from django.db.models import F, Q

from core.constraints import not_empty
from core.names import NameKeyField


class VirtualMTA(models.Model):
    """An egress for mail: an IP address, a relay server or a routing rule.

    The base of all three (multi-table inheritance), so that ids and names are unique over them and a redirect or reference
    has one table to point at, as GreenArrow's VirtualMTAs have.
    """

    class Kind(models.TextChoices):
        IP_ADDRESS = "ip_address", "IP address"
        RELAY_SERVER = "relay_server", "Relay server"
        ROUTING_RULE = "routing_rule", "Routing rule"

    kind = models.CharField(max_length=12, choices=Kind.choices, editable=False)
    name = models.CharField(max_length=200)
    name_key = NameKeyField()
    # Mail meant for this one leaves by that one. None: it leaves here.
    redirect = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="redirected_from"
    )
    # Mail that no other choice covers leaves by this one; at most one has it.
    is_default = models.BooleanField(default=False, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = "VirtualMTA"
        verbose_name_plural = "VirtualMTAs"
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                name="ippools_virtualmta_kind",
                condition=Q(kind__in=["ip_address", "relay_server", "routing_rule"]),
                violation_error_message="A VirtualMTA is an IP address, a relay server or a routing rule",
            ),
            models.UniqueConstraint(
                name="ippools_virtualmta_name_unique",
                fields=["name_key"],
                violation_error_message="A VirtualMTA with this name exists already",
            ),
            not_empty("ippools_virtualmta_name", "name", message="A VirtualMTA needs a name"),
            models.CheckConstraint(
                name="ippools_virtualmta_redirect_elsewhere",
                condition=Q(redirect=None) | ~Q(redirect=F("id")),
                violation_error_message="A VirtualMTA cannot redirect to itself",
            ),
            models.CheckConstraint(
                name="ippools_virtualmta_redirect_kind",
                condition=Q(redirect=None) | ~Q(kind="routing_rule"),
                violation_error_message="A routing rule cannot redirect",
            ),
            models.UniqueConstraint(
                name="ippools_virtualmta_one_default",
                fields=["is_default"],
                condition=Q(is_default=True),
                violation_error_message="There can be one default VirtualMTA",
            ),
        ]

    def __str__(self) -> str:
        return self.name
