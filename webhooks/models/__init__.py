from webhooks.models.circuit import Circuit
from webhooks.models.delivery import Delivery
from webhooks.models.domain_notice import DomainNotice
from webhooks.models.lease import Lease
from webhooks.models.signing_key import SigningKey

__all__ = ["Circuit", "Delivery", "DomainNotice", "Lease", "SigningKey"]
