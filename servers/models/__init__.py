from servers.models.credential import Credential
from servers.models.domain import Domain
from servers.models.domain_key import DomainKey
from servers.models.domain_verification import DomainVerification
from servers.models.former_permalink import FormerPermalink
from servers.models.invitation import Invitation
from servers.models.organization import Membership, Organization
from servers.models.pool_rule import IPPoolRule, OrganizationPool
from servers.models.route import Route
from servers.models.send_limit import SendLimitMark
from servers.models.server import Server
from servers.models.webhook import Webhook

__all__ = [
    "Credential",
    "Domain",
    "DomainKey",
    "DomainVerification",
    "FormerPermalink",
    "IPPoolRule",
    "Invitation",
    "Membership",
    "Organization",
    "OrganizationPool",
    "Route",
    "SendLimitMark",
    "Server",
    "Webhook",
]
