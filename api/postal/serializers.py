"""The serializers of each endpoint's response. They write the response and the OpenAPI document.

The keys of an answer come in the order of the fields, those of bases first. Hot lists are written by `api.postal.rows` instead,
and a test compares the two.
"""

from typing import Any

from rest_framework.fields import BooleanField, CharField, ChoiceField, Field, IntegerField, UUIDField
from rest_framework.serializers import Serializer

from api.postal.answer_fields import (
    Check,
    ClearAddress,
    Count,
    CountsByName,
    DeliveryState,
    IPv6,
    Mode,
    OptionalTimestamp,
    Rate,
    SourceEvent,
    Status,
    Texts,
    Timestamp,
    VerificationMethod,
    VerificationString,
    WholeSeconds,
)  # fmt: skip
from suppressions.models import Reason


# A record as others mention it. (A docstring would describe every serializer built on it.)
class Named(Serializer):
    uuid = UUIDField()
    name = CharField()


class Permalinked(Named):
    permalink = CharField()


class Numbered(Serializer):
    id = IntegerField()


class Sent(Serializer):
    messages_sent_today = Count(source="today")
    messages_sent_this_month = Count(source="this_month")


# --- servers ----------------------------------------------------------------------------------------------------------


class PoolMention(Numbered, Named):
    pass


class AssignedPool(PoolMention):
    auto_assigned = BooleanField()


_NO_KEY = "Absent where a create without a key finds a server that existed"


class NewServer(Permalinked):
    mode = Mode()
    created_at = Timestamp()
    organization = Permalinked()
    api_key = CharField(required=False, help_text=_NO_KEY)
    smtp_key = CharField(required=False, help_text=_NO_KEY)
    smtp_user = CharField()
    already_exists = BooleanField()
    ip_pool = AssignedPool(required=False)


class ServerHead(Permalinked):
    mode = Mode()
    suspended = BooleanField()


class ServerState(Serializer):
    privacy_mode = BooleanField()
    ip_pool_id = IntegerField(allow_null=True)
    created_at = Timestamp()
    updated_at = Timestamp()
    domains_count = Count()
    credentials_count = Count()
    webhooks_count = Count()
    routes_count = Count()


class ServerRow(ServerHead, ServerState):
    pass


class Domain(Named):
    verified = BooleanField(source="is_verified")
    spf_status = Status()
    dkim_status = Status()
    mx_status = Status()
    return_path_status = Status()


class DomainOfServer(Domain):
    outgoing = BooleanField()
    incoming = BooleanField()
    stats = Sent(required=False)


class PointCounts(Serializer):
    incoming = Count()
    outgoing = Count(source="sent")
    bounces = Count(source="bounced")
    spam = Count()
    held = Count()


class Point(Serializer):
    date = WholeSeconds(source="at")
    stats = PointCounts(source="counts")


class DetailedStats(Serializer):
    daily = Point(many=True)
    hourly = Point(many=True)


class Suspension(Serializer):
    suspension_reason = CharField(allow_null=True)


class ServerDetails(ServerHead, Suspension, ServerState):
    organization = Permalinked()
    stats = Sent(required=False)
    domains = DomainOfServer(many=True, required=False)
    detailed_stats = DetailedStats(required=False)


BETWEEN = {"start_date": WholeSeconds(), "end_date": WholeSeconds()}
BREAKDOWN: dict[str, Field] = {"breakdown": CountsByName(), "total_mailboxes": Count(), "total_emails": Count()}
DELETED = {"deleted": ChoiceField([True])}


class CountedServer(Permalinked):
    sent_emails = Count()
    # Where the counts cannot be read; `sent_emails` is 0 then.
    error = CharField(required=False)


class SwitchedServer(Permalinked):
    mode = Mode()
    updated_at = Timestamp()


# --- domains ----------------------------------------------------------------------------------------------------------


class ListedDomain(Domain):
    dmarc_status = Status()
    stats = Sent(required=False)


class Pagination(Serializer):
    current_page = Count()
    per_page = Count()
    total_pages = Count()
    total_count = Count()


class DNSChecks(Serializer):
    """Of a domain, what the last look at DNS found."""

    spf = Check()
    dkim = Check()
    return_path = Check()
    mx = Check()
    dmarc = Check()


class Record(Serializer):
    """A DNS record to publish: `short_name` where it is not the domain itself, `priority` for MX."""

    type = ChoiceField(["TXT", "CNAME", "MX"])
    name = CharField()
    short_name = CharField(required=False)
    value = CharField()
    purpose = ChoiceField(["verification", "spf", "dkim", "return_path", "mx", "dmarc"])
    priority = IntegerField(required=False)

    def to_representation(self, instance: Any) -> dict[str, object]:
        written: dict[str, object] = super().to_representation(instance)
        if instance.short_name == "@":
            del written["short_name"]
        if instance.priority is None:
            del written["priority"]
        return written


class NewDomain(Named):
    verification_method = VerificationMethod()
    verified = BooleanField(source="is_verified")
    verification_token = CharField()
    dns_verification_string = VerificationString()
    created_at = Timestamp()
    updated_at = Timestamp()


class CheckedDomain(Named):
    verified = BooleanField(source="is_verified")
    dns_checks = DNSChecks(source="*")


class VerifiedDomain(Named):
    verified = BooleanField(source="is_verified")
    verified_at = Timestamp()
    dns_checks = DNSChecks(source="*")


class UnknownDomain(Serializer):
    """What may stand beside code and message of a refusal."""

    name = CharField(required=False)


class ClaimedDomain(UnknownDomain):
    dns_verification_string = CharField(required=False)


class UnverifiedDomain(ClaimedDomain):
    dns_checks = DNSChecks(required=False)


# --- pools and addresses ----------------------------------------------------------------------------------------------


class Address(Serializer):
    ipv4 = CharField()
    ipv6 = IPv6()
    hostname = CharField()
    priority = IntegerField()


class NumberedAddress(Numbered, Address):
    pass


class AddressOfPool(NumberedAddress):
    messages_sent = Count(required=False)


class PoolStats(Serializer):
    total_messages_sent = Count(source="total")
    ip_count = Count()
    average_per_ip = Rate(source="rounded_average")


class PoolHead(PoolMention):
    default = BooleanField(source="is_default")
    created_at = Timestamp()


class Pool(PoolHead):
    ip_addresses = AddressOfPool(many=True)
    stats = PoolStats(required=False)


class NewAddress(Numbered):
    ipv4 = CharField()
    hostname = CharField()


class NewPool(PoolMention):
    created_at = Timestamp()
    ip_addresses = NewAddress(many=True)


class LeastUsed(PoolHead):
    stats = PoolStats(source="*")


# --- organizations ----------------------------------------------------------------------------------------------------


class OrganizationDetails(Permalinked):
    time_zone = CharField()
    created_at = Timestamp()
    servers_count = Count()


class SendingServer(Named):
    queued_count = Count()
    message_rate = Rate()
    sent_count = Count()


class Statistics(Named):
    overall_message_rate = Rate()
    total_queued_count = Count()
    total_sent = Count()
    servers_count = Count()
    ip_addresses_count = Count()
    ip_addresses = NumberedAddress(many=True)
    servers = SendingServer(many=True)


class AllocatedAddress(Address):
    ip_pools = Texts()
    emails_sent = Count()


class AllocatedPool(Serializer):
    name = CharField()
    uuid = UUIDField()
    default = BooleanField(source="is_default")
    servers = Texts()
    emails_sent = Count(source="total")


class AllocatedServer(Serializer):
    name = CharField()
    uuid = UUIDField()
    ip_pool = CharField(allow_null=True)
    ip_addresses = Texts()
    emails_sent = Count()


IP_ALLOCATION = {
    "organization": Named(),
    "ip_addresses": AllocatedAddress(many=True),
    "ip_pools": AllocatedPool(many=True),
    "servers": AllocatedServer(many=True),
}

# --- events -----------------------------------------------------------------------------------------------------------


class Remark(Serializer):
    index = Count()
    code = CharField()
    message = CharField()


RECEIPT = {
    "accepted": Count(),
    "duplicates": Count(),
    "ignored": Count(),
    "conflicts": Remark(many=True),
    "warnings": Remark(many=True),
    "refused": Remark(many=True),
}

# --- webhooks ---------------------------------------------------------------------------------------------------------


class Webhook(Named):
    url = CharField()
    events = Texts(help_text="Names of events; empty: all")
    enabled = BooleanField()
    sign = BooleanField()
    consecutive_failures = Count()
    held_back_since = OptionalTimestamp()
    dropped_deliveries = Count()


class Suppression(Serializer):
    masked_address = CharField(source="masked")
    address = ClearAddress()
    server = Named(allow_null=True, help_text="null: all servers of the organization")
    reason = ChoiceField(choices=Reason.choices)
    source_event = SourceEvent()
    suppressed_by = CharField(source="actor_label")
    suppressed_at = Timestamp(source="created_at")
    expires_at = OptionalTimestamp()


class CheckedAddress(Serializer):
    address = CharField(help_text="As it was given")
    suppressed = BooleanField()
    suppression = Suppression(allow_null=True)


class Delivery(Serializer):
    uuid = UUIDField()
    webhook = Named()
    event = CharField()
    status = DeliveryState(source="state")
    created_at = Timestamp()
    attempts = Count()
    attempted_at = OptionalTimestamp()
    next_attempt_at = OptionalTimestamp(source="due_at")
    status_code = IntegerField(allow_null=True)
    answer = CharField(help_text="The first 1,000 characters of the last answer")
    error = CharField(help_text="Why there is no answer; empty where there is one")
