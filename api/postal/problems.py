"""The documented errors: a code and a sentence each."""

from collections.abc import Mapping

from api.problems import Code, Declined, Problem, decline

type Refusal = tuple[str, str]

INVALID_ORGANIZATION: Refusal = ("InvalidOrganization", "The organization could not be found with the provided UUID")
INVALID_SERVER: Refusal = ("InvalidServer", "The server could not be found with the provided server_id")
NO_SERVER_CREATION: Refusal = ("AccessDenied", "You don't have permission to create servers for this organization")
NO_POOL_CREATION: Refusal = ("AccessDenied", "You don't have permission to create IP pools")
DELETION_ERROR: Refusal = ("DeletionError", "The server could not be deleted")
NO_VALID_IP_POOLS: Refusal = ("NoValidIPPools", "No valid IP pools with IP addresses found")
LONG_NAME: Refusal = ("ValidationError", "Name is too long (maximum is 200 characters)")
TAKEN_NAME: Refusal = ("ValidationError", "Name has already been taken")
FOREIGN_POOL: Refusal = ("ValidationError", "Ip pool is not a pool of this organization")
INVALID_DOMAIN: Refusal = ("InvalidDomain", "The domain could not be found with the provided name")
INVALID_DOMAIN_ID: Refusal = ("InvalidDomain", "The domain could not be found with the provided domain_id")
INVALID_WEBHOOK: Refusal = ("InvalidWebhook", "The webhook could not be found with the provided webhook_id")
INVALID_DELIVERY: Refusal = ("InvalidDelivery", "The delivery could not be found with the provided UUID")
DISABLED_WEBHOOK: Refusal = ("Conflict", "The webhook is disabled")
NO_ORGANIZATION_WIDE: Refusal = (
    "AccessDenied",
    "You don't have permission to change suppressions of the whole organization",
)
BAD_ADDRESS: Refusal = ("ValidationError", "Addresses[0] must be an e-mail address")
PAST_EXPIRY: Refusal = ("ValidationError", "Expires at must be in the future")
FAR_EXPIRY: Refusal = ("ValidationError", "Expires at must be from the year 1970 to 9998")
MANY_SUPPRESSIONS: Refusal = ("QuotaExceeded", "The organization has as many suppressions as the platform allows")
VERIFICATION_FAILED: Refusal = (
    "VerificationFailed",
    "We couldn't verify your domain. Please double check you've added the TXT record correctly.",
)
DOMAIN_FAULTS: tuple[Refusal, ...] = (
    ("ValidationError", "Name is not a domain name"),
    ("ValidationError", "Custom mx records[0] is not a host name"),
    ("ValidationError", "Dmarc record is not a DMARC record: it does not begin with v=DMARC1"),
)
# With the platform's default limits; an organization may have others.
OVER_QUOTA_OF: Mapping[str, Refusal] = {
    noun: ("QuotaExceeded", f"The organization may have at most {limit} {noun}")
    for noun, limit in (("servers", "10,000"), ("domains", "100,000"), ("IP addresses in its own pools", "20,000"))
}
MANY_POOLS: Refusal = ("QuotaExceeded", "The organization may have at most 1,000 IP pools of its own")
TOO_MANY_IPS: Refusal = ("ValidationError", "Ips has too many entries (maximum is 4,096 in one request)")

NO_DOMAIN_GIVEN = "domain_id or domain_name is required"
NO_ORGANIZATION_GIVEN = "organization_uuid is required"
BACKWARDS = "start_date must be before end_date"


def refuse(refusal: Refusal, data: Mapping[str, object] | None = None) -> Declined:
    """Return the exception for a refusal in the dialect's own words; `data` stands beside code and message."""
    code, message = refusal
    return Declined(Problem(code, (message,), 422, data=data or {}))


def fault(sentence: str) -> Declined:
    """Return the exception for a fault of parameters that are each right by themselves."""
    return decline(Code.MALFORMED, sentence)
