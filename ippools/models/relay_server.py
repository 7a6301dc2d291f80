from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from core.constraints import not_empty
from core.encryption import CiphertextField
from ippools.models.virtual_mta import VirtualMTA
from throttling.models.rule_set import HIGHEST_LIMIT, LimitField

HIGHEST_PORT = 65535


class RelayServer(VirtualMTA):
    """An external mail server that accepts our mail and delivers it."""

    # The address that we connect from. It need not be one of ours to manage, and many relays may share it.
    source_ip = models.GenericIPAddressField("source IPv4", protocol="IPv4")
    source_hostname = models.CharField("source host name", max_length=200)
    destination_hostname = models.CharField("host name", max_length=255)
    destination_port = models.PositiveIntegerField(
        "port", default=25, validators=[MinValueValidator(1), MaxValueValidator(HIGHEST_PORT)]
    )
    # None: the relay asks for no user name or password.
    destination_username = models.CharField("user name", max_length=200, null=True, blank=True)  # noqa: DJ001 - GreenArrow tells null from ""
    destination_password = CiphertextField(null=True, blank=True, editable=False)
    max_concurrent_connections = LimitField(default=0)
    max_messages_per_hour = LimitField(default=0)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="ippools_relayserver_port_range",
                condition=Q(destination_port__range=(1, HIGHEST_PORT)),
                violation_error_message="A port must be from 1 to 65535",
            ),
            models.CheckConstraint(
                name="ippools_relayserver_limits",
                condition=Q(max_concurrent_connections__range=(0, HIGHEST_LIMIT))
                & Q(max_messages_per_hour__range=(0, HIGHEST_LIMIT)),
                violation_error_message="A limit must be from 0 to 2147483647",
            ),
            not_empty(
                "ippools_relayserver_hostnames",
                "source_hostname",
                "destination_hostname",
                message="A relay server needs both host names",
            ),
        ]
