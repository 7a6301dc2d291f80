"""The dialect's serializers: of requests (`New…`, `Changed…`), and of responses (the others)."""

from api.greenarrow.fields import (
    Boolean,
    ByReference,
    Choice,
    Count,
    Destination,
    Domains,
    HostName,
    Id,
    Integer,
    IPv4,
    Limit,
    MTAName,
    Name,
    OverrideId,
    Password,
    Portion,
    Refused,
    Text,
)
from api.greenarrow.pagination import PER_PAGE
from api.greenarrow.reading import Record, Records, many
from core.references import HIGHEST_ID
from ippools.models.relay_server import HIGHEST_PORT
from ippools.models.routing_rule import MOST_OVERRIDES, Randomization
from throttling.models.program import HIGHEST_PERCENT, BackoffMode
from throttling.models.rule import MAX_RULES

NOT_ON_AN_UPDATE = (
    "may not be given on an update: use rules_new to add rules, and the rules' own URLs to change or delete them",
    "Not on an update: `rules_new` adds rules, and the rules' own URLs change or delete them",
)
ON_AN_UPDATE_ONLY = ("may be given on an update only", "On an update only")
TOO_MANY_RULES = {"max_length": "must not make more than {max_length} rules"}
NO_TARGET = {"empty": "must contain at least one VirtualMTA"}
KINDS = ("ip_address", "relay_server", "routing_rule")
SIDES = ("ip_address", "throttling_template")

# --- What lists have in common -----------------------------------------------------------------------------------------


class PaginationSerializer(Record):
    page = Count()
    per_page = Count()
    num_pages = Count()
    num_records = Count()
    next_page_token = Text(allow_null=True, help_text="null on the last page")


def page(key: str, row: Record) -> dict[str, Record | Records]:
    """Return what an answer holds that is a page of a list."""
    return {key: many(row, most=PER_PAGE), "pagination": PaginationSerializer()}


class Numbered(Record):
    id = Id()


class RowSerializer(Numbered):
    name = Text()


class VirtualMTASerializer(Record):
    type = Choice(*KINDS, source="kind")
    id = Id()
    name = Text()


class ReferringSerializer(Record):
    """A record that refers to another."""

    type = Choice(*KINDS, "ip_pool", "throttling_template")
    id = Id()
    name = Text()


# --- Rules and their limits --------------------------------------------------------------------------------------------


class LimitsSerializer(Record):
    max_concurrent_connections = Limit()
    max_messages_per_hour = Limit()


class OpenLimitsSerializer(Record):
    """An address's default: null leaves a limit to the template."""

    max_concurrent_connections = Limit(allow_null=True)
    max_messages_per_hour = Limit(allow_null=True)


class NewOpenLimitsSerializer(Record):
    max_concurrent_connections = Limit(allow_null=True, required=False)
    max_messages_per_hour = Limit(allow_null=True, required=False)


class NewRuleSerializer(Record):
    domains = Domains()
    max_concurrent_connections = Limit()
    max_messages_per_hour = Limit()
    throttle_program = ByReference(allow_null=True, required=False)


class RuleSerializer(Numbered):
    domains = Domains()
    max_concurrent_connections = Limit()
    max_messages_per_hour = Limit()
    throttle_program = RowSerializer(allow_null=True)


class NewRules(Record):
    """The rules of an address or template that is created."""

    rules = many(NewRuleSerializer(), required=False, most=MAX_RULES, error_messages=TOO_MANY_RULES)
    rules_new = Refused(*ON_AN_UPDATE_ONLY)


class AddedRules(Record):
    """The rules of an address or template that is changed."""

    rules = Refused(*NOT_ON_AN_UPDATE)
    rules_new = many(
        NewRuleSerializer(), source="added_rules", required=False, most=MAX_RULES, error_messages=TOO_MANY_RULES
    )


# --- Addresses and templates -------------------------------------------------------------------------------------------


class GivenAddress(Record):
    """What creating and changing an address have in common."""

    throttling_template = ByReference(source="template")
    name = MTAName()
    ip = IPv4(source="ipv4")
    hostname = HostName()
    redirect = ByReference(allow_null=True, required=False)
    delivery_paused = Boolean(required=False)
    default = NewOpenLimitsSerializer(source="*", required=False)


class NewIPAddressSerializer(GivenAddress, NewRules): ...


class ChangedIPAddressSerializer(GivenAddress, AddedRules): ...


class IPAddressSerializer(Numbered):
    name = MTAName()
    ip = IPv4(source="ipv4")
    hostname = HostName()
    redirect = VirtualMTASerializer(allow_null=True)
    throttling_template = RowSerializer(source="template")
    rules = many(RuleSerializer(), source="rules.rules", most=MAX_RULES)
    default = OpenLimitsSerializer(source="rules")
    delivery_paused = Boolean()


class GivenTemplate(Record):
    """What creating and changing a template have in common."""

    name = Name()
    default = LimitsSerializer(source="*")


class NewThrottlingTemplateSerializer(GivenTemplate, NewRules): ...


class ChangedThrottlingTemplateSerializer(GivenTemplate, AddedRules): ...


class ThrottlingTemplateSerializer(Numbered):
    name = Name()
    rules = many(RuleSerializer(), source="rules.rules", most=MAX_RULES)
    default = LimitsSerializer(source="rules")


# --- Programs ----------------------------------------------------------------------------------------------------------


# A back-off does not raise a limit.
LOWERS = {
    "anyOf": [
        {"properties": {"mode": {"const": BackoffMode.FIXED.value}}},
        {"properties": {"value": {"maximum": HIGHEST_PERCENT}}},
    ]
}


class ConnectionsBackoffSerializer(Record):
    schema_rules = LOWERS

    mode = Choice(*BackoffMode.values, source="backoff_connections_mode")
    value = Integer(lowest=1, source="backoff_connections_value")


class MessagesBackoffSerializer(Record):
    schema_rules = LOWERS

    mode = Choice(*BackoffMode.values, source="backoff_messages_mode")
    value = Integer(lowest=1, source="backoff_messages_value")


class BackoffSerializer(Record):
    max_concurrent_connections = ConnectionsBackoffSerializer(source="*")
    max_messages_per_hour = MessagesBackoffSerializer(source="*")
    return_after = Integer(lowest=1, source="return_after_seconds")


class TriggersSerializer(Record):
    failure_rate = Integer(1, 100, allow_null=True)
    deferral_rate = Integer(1, 100, allow_null=True)


class NewTriggersSerializer(Record):
    schema_rules = {
        "anyOf": [
            {"properties": {name: {"type": "integer"}}, "required": [name]}
            for name in ("failure_rate", "deferral_rate")
        ]
    }

    failure_rate = Integer(1, 100, allow_null=True, required=False)
    deferral_rate = Integer(1, 100, allow_null=True, required=False)


class NewThrottleProgramSerializer(Record):
    name = Name()
    backoff = BackoffSerializer(source="*")
    triggers = NewTriggersSerializer(source="*")


class ThrottleProgramSerializer(Numbered):
    name = Name()
    builtin = Boolean(source="is_builtin")
    backoff = BackoffSerializer(source="*")
    triggers = TriggersSerializer(source="*")


# --- Relay servers -----------------------------------------------------------------------------------------------------


class SourceSerializer(Record):
    ip = IPv4(source="source_ip")
    hostname = HostName(source="source_hostname")


class DestinationSerializer(Record):
    hostname = Destination(source="destination_hostname")
    port = Integer(1, HIGHEST_PORT, source="destination_port")
    username = Text(allow_null=True, required=False, source="destination_username")
    # GreenArrow: the vendor returns the password in clear. We never do.
    password = Password(allow_null=True, required=False, source="destination_password")


class NewRelayServerSerializer(Record):
    name = MTAName()
    redirect = ByReference(allow_null=True, required=False)
    source_ip = SourceSerializer(source="*")
    destination = DestinationSerializer(source="*")
    throttle_limits = LimitsSerializer(source="*")


class RelayServerSerializer(Numbered):
    name = MTAName()
    source_ip = SourceSerializer(source="*")
    destination = DestinationSerializer(source="*")
    throttle_limits = LimitsSerializer(source="*")
    redirect = VirtualMTASerializer(allow_null=True)


# --- Routing rules -----------------------------------------------------------------------------------------------------


class NewTargetSerializer(Record):
    virtual_mta = ByReference()
    portion_of_mail = Portion()


class TargetSerializer(Record):
    virtual_mta = VirtualMTASerializer()
    portion_of_mail = Portion()


class NewBranchSerializer(Record):
    randomization_type = Choice(*Randomization.values)
    deliver_through = many(NewTargetSerializer(), allow_empty=False, error_messages=NO_TARGET)


class BranchSerializer(Record):
    randomization_type = Choice(*Randomization.values)
    deliver_through = many(TargetSerializer(), source="default_targets")


class NewOverrideSerializer(Record):
    id = OverrideId(1, HIGHEST_ID, required=False)
    domains = Domains()
    randomization_type = Choice(*Randomization.values)
    deliver_through = many(NewTargetSerializer(), allow_empty=False, error_messages=NO_TARGET)


class OverrideSerializer(Numbered):
    domains = Domains()
    randomization_type = Choice(*Randomization.values)
    deliver_through = many(TargetSerializer(), source="targets")


class NewRoutingRuleSerializer(Record):
    name = MTAName()
    default = NewBranchSerializer()
    domain_overrides = many(NewOverrideSerializer(), required=False, most=MOST_OVERRIDES)


class RoutingRuleSerializer(Numbered):
    name = MTAName()
    domain_overrides = many(OverrideSerializer())
    default = BranchSerializer(source="*")


# --- What is computed --------------------------------------------------------------------------------------------------


class OwnedRuleSerializer(Record):
    """A rule by its id, and whose it is: the owner stands under the key that `type` says."""

    type = Choice(*SIDES)
    id = Id()
    ip_address = RowSerializer(required=False)
    throttling_template = RowSerializer(required=False)


class ThrottleSerializer(Record):
    id = Integer(highest=HIGHEST_ID, help_text="The address's id times 2^32, plus the rule's")
    ip_address = RowSerializer()
    throttling_rule = OwnedRuleSerializer()
    normal_max_messages_per_hour = Limit()
    normal_max_concurrent_connections = Limit()
    domains = Domains()
    in_backoff = Boolean()
    backoff_reason = Choice("throttle_program", allow_null=True)
    backoff_began_at = Text(allow_null=True)
    backoff_ends_at = Text(allow_null=True)
    backoff_max_messages_per_hour = Limit(allow_null=True)
    backoff_max_concurrent_connections = Limit(allow_null=True)
