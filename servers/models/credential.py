import ipaddress

from django.db import models
from django.db.models import Q

from core.constraints import not_empty
from core.encryption import CiphertextField
from core.keys import DIGEST_LENGTH, PREFIX_LENGTH
from core.models import Key, KeyQuerySet
from servers.models.server import Server


class NetworkKeyField(models.CharField):  # type: ignore[type-arg]  # Django's fields take no arguments at run time.
    """A network as text in whose order the networks within another follow its first address: `network_key`.

    Filled on every save and bulk_create; never set by hand.
    """

    def pre_save(self, model_instance: models.Model, add: bool) -> str:  # noqa: FBT001 - Django's signature
        network = getattr(model_instance, "network", "")
        key = network_key(ipaddress.ip_network(network)) if network else ""
        setattr(model_instance, self.attname, key)
        return key


def network_key(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> str:
    """Return the key of a network: IP version, first address and length of the prefix, of equal length in a version."""
    return f"{first_key(network)}{network.prefixlen:03}"


def first_key(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> str:
    """Return the beginning of the key: no key of a network that begins at this address or later is less."""
    return f"{network.version}{network.network_address.packed.hex()}"


class Credential(Key):
    """Authenticates a program to a server: a key for the API or for SMTP, or a client network."""

    # Postal: a key is held, and can be released; what shall never work again is deleted or rotated.
    STOPPED_BY = "held_at"
    revoked_at = None

    class Kind(models.TextChoices):
        API = "api", "API"
        SMTP = "smtp", "SMTP"
        SMTP_IP = "smtp_ip", "SMTP-IP"

    server = models.ForeignKey(Server, on_delete=models.CASCADE, related_name="credentials")
    kind = models.CharField(max_length=7, choices=Kind.choices)
    name = models.CharField(max_length=200)
    # Empty for SMTP-IP, which has a network instead of a key.
    key_prefix = models.CharField(max_length=PREFIX_LENGTH, blank=True, editable=False)
    key_digest = models.CharField(max_length=DIGEST_LENGTH, unique=True, null=True, editable=False)  # type: ignore[assignment]  # noqa: DJ001 - unique
    # Kept because Postal's create answers with the key of a server that exists already.
    key_ciphertext = CiphertextField(blank=True, editable=False)
    # A CIDR such as 192.0.2.0/24, for SMTP-IP only.
    network = models.CharField(max_length=43, blank=True)
    # Empty also where a version before this column made the credential: `client_networks.settle` fills it.
    network_key = NetworkKeyField(max_length=36, default="", db_default="", blank=True, editable=False)
    # The platform has decided that it may overlap other organizations' (servers/client_networks.py).
    shares_network = models.BooleanField(default=False, db_default=False, editable=False)
    # Its network overlaps another organization's, and nobody has decided: nodes take no mail by it.
    is_contested = models.BooleanField(default=False, db_default=False, editable=False)
    # The one that servers/create makes, and makes again where it is missing.
    is_default = models.BooleanField(default=False, editable=False)
    can_manage_organization = models.BooleanField(
        default=False, help_text="Whether this key may create servers and IP pools in its organization."
    )
    # A held credential is refused until it is released.
    held_at = models.DateTimeField(null=True, blank=True, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    objects = KeyQuerySet["Credential"].as_manager()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                name="servers_credential_kind",
                condition=Q(kind__in=["api", "smtp", "smtp_ip"]),
                violation_error_message="A credential is for API, SMTP or SMTP-IP",
            ),
            models.CheckConstraint(
                name="servers_credential_key",
                condition=Q(kind="smtp_ip", key_digest=None, key_ciphertext="", key_prefix="") & ~Q(network="")
                | ~Q(kind="smtp_ip") & Q(key_digest__isnull=False, network="") & ~Q(key_ciphertext=""),
                violation_error_message="A credential has a key, or for SMTP-IP a network",
            ),
            not_empty("servers_credential_name", "name", message="A credential needs a name"),
            models.UniqueConstraint(
                name="servers_credential_one_default",
                fields=["server", "kind"],
                condition=Q(is_default=True),
                violation_error_message="A server has one default credential of a kind",
            ),
        ]
        indexes = [
            # The panel's search by the start of a key.
            models.Index(name="servers_credential_prefix", fields=["key_prefix"]),
            # Who has clients in this network? Asked while all others that add networks wait.
            models.Index(name="servers_credential_network", fields=["network_key"], condition=Q(kind="smtp_ip")),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.get_kind_display()})"
