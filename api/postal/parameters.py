"""The parameters of each endpoint: parser, error sentences and OpenAPI document in one declaration.

A parameter that nobody declared is ignored. What is missing is refused before what is wrong.
"""

from collections.abc import Mapping
from functools import cached_property
from itertools import chain
from typing import Any, ClassVar, cast

from rest_framework import serializers
from rest_framework.fields import empty

from api.postal.fields import Choice, Flag, Identifier, Items, Moment, Names, Parameter, Text, Whole, Wrong
from api.postal.problems import BACKWARDS, NO_DOMAIN_GIVEN, NO_ORGANIZATION_GIVEN, fault
from core.errors import Invalid
from servers.models import Server
from stats.counts.buckets import Period
from suppressions.addresses import MOST_AT_ONCE, TOO_INTERNATIONAL, TOO_MANY, refuse_too_many
from suppressions.models import Reason
from webhooks.models import Delivery

MODES = {Server.Mode.LIVE.value: "Live", Server.Mode.DEVELOPMENT.value: "Development"}
MODES_BY_WORD = {word: mode for mode, word in MODES.items()}


class Parameters(serializers.Serializer):
    """The base: the Servers page's sentences, with `{name}` and `{kind}` ("a string") in them."""

    missing: ClassVar[str] = "{name} is required"
    wrong: ClassVar[str] = "{name} is invalid"
    # Refusals of several parameters that are each right by themselves.
    faults: ClassVar[tuple[str, ...]] = ()

    @cached_property
    def all(self) -> list[Parameter]:
        """The parameters, in their order."""
        return cast("list[Parameter]", [*self.fields.values()])

    def run_validation(self, data: Any = empty) -> dict[str, Any]:
        """Read and check: rest_framework's own, which asks for validators and read-only fields, takes four times as long."""
        return cast("dict[str, Any]", self.validate(self.to_internal_value(data)))

    def to_internal_value(self, data: Mapping[str, object]) -> dict[str, Any]:
        """Return the value of every parameter, by name; declines with the first fault."""
        given = [(str(field.field_name), field, data.get(str(field.field_name), empty)) for field in self.all]
        values: dict[str, Any] = {}
        for name, field, raw in given:
            if field.is_absent(raw):
                if field.required:
                    raise fault(field.missing)
                values[name] = field.absent_value()
        for name, field, raw in given:
            if name not in values:
                try:
                    values[name] = field.to_internal_value(raw)
                except Wrong:
                    raise fault(field.wrong) from None
        return values

    def sentences(self) -> list[str]:
        """Return every sentence that reading may decline with, each once."""
        of_each = [(field.missing, field.wrong) if field.required else (field.wrong,) for field in self.all]
        return [*dict.fromkeys(chain.from_iterable(of_each)), *self.faults]


class PoolParameters(Parameters):
    """The base on the IP Pools page, which has its own sentences."""

    missing = "Missing required parameter '{name}'"
    wrong = "Invalid '{name}' parameter (must be {kind})"


# --- servers ----------------------------------------------------------------------------------------------------------

_MODE: dict[str, Any] = {
    "choices": tuple(MODES_BY_WORD),
    "wrong": "mode must be either 'Live' or 'Development'",
}


class CreateServer(Parameters):
    organization_uuid = Identifier("The UUID of the organization to create the server in", required=True)
    name = Text("The name of the new server", required=True, example="New Transactional Server")
    mode = Choice("Server mode", default="Live", **_MODE)
    ip_pool_id = Whole("The ID of the IP pool to assign to this server")
    auto_assign_ip_pool = Flag(
        "Assign an IP pool when no `ip_pool_id` is given, round robin among the least used pools", default=True
    )
    top_pools_limit = Whole("How many of the least used pools to consider", default=5, least=1)
    privacy_mode = Flag("Whether to enable privacy mode for this server", default=False)
    skip_provision_database = Flag("Accepted and recorded: counts here need no database per server", default=False)


class ShowServer(Parameters):
    server_id = Identifier("The UUID of the server; without it, the server that the API key belongs to")
    include_domains = Flag("Also answer with the server's domains", default=False, example=True)
    include_stats = Flag("false leaves every `stats` out", default=True, example=True)
    include_detailed_stats = Flag("Also answer with 30 days and 24 hours of counts", default=False)


class UpdateMode(Parameters):
    mode = Choice("The server mode", required=True, example="Development", **_MODE)


_DATE = "Invalid date format. Use ISO 8601 format (e.g., 2025-01-01T00:00:00Z)"


class DateRange(Parameters):
    """Whole UTC days, of which both ends are echoed as they are counted; a range that ends before it starts is declined."""

    start_date = Moment(
        "The start of the range: its whole UTC day counts", required=True, example="2025-01-01T00:00:00Z", wrong=_DATE
    )
    end_date = Moment(
        "The end of the range: its whole UTC day counts", required=True, example="2025-01-31T23:59:59Z", wrong=_DATE
    )
    faults = (BACKWARDS,)

    def validate(self, given: dict[str, Any]) -> dict[str, Any]:
        if given["start_date"] > given["end_date"]:
            raise fault(BACKWARDS)
        first = given["start_date"].replace(hour=0, minute=0, second=0, microsecond=0)
        last = given["end_date"].replace(hour=23, minute=59, second=59, microsecond=0)
        return {**given, "start_date": first, "end_date": last}


# --- IP pools ---------------------------------------------------------------------------------------------------------

_PERIOD: dict[str, Any] = {
    "help_text": "The period of the statistics, by the UTC calendar; all time without it",
    "choices": tuple(Period.values),
    "wrong": f"Invalid 'stats_period' parameter (must be one of {', '.join(Period.values)})",
}
_NO_ARRAY = "Missing or invalid 'ips' parameter (must be an array)"


class ListIPPools(PoolParameters):
    include_stats = Flag("Include usage statistics for each IP pool and IP address", default=False)
    stats_period = Choice(**_PERIOD)
    find_least_used = Flag("With `include_stats`, also name the least used IP pool", default=False, example=True)


class CreateIPPool(PoolParameters):
    name = Text("The name of the new IP pool", required=True, example="Apple")
    ips = Items(
        "IPv4 addresses to add to the pool", required=True, example=["1.1.1.1", "2.2.2.2"],
        missing=_NO_ARRAY, wrong=_NO_ARRAY,
    )  # fmt: skip


class LeastUsedIPPool(PoolParameters):
    stats_period = Choice(**_PERIOD)


# --- domains ----------------------------------------------------------------------------------------------------------


class Page(Parameters):
    """Which page of a list."""

    page = Whole("Which page, from 1", default=1, least=1)
    per_page = Whole("Rows a page, at most 100", default=30, least=1, most=100, wrong="per_page must be from 1 to 100")


class ListDomains(Page):
    verified = Flag("Only domains that are verified, or only those that are not")
    search = Text("Only domains whose name contains this")
    order_by = Choice("What to order by", choices=("name", "created_at", "verified_at"), default="name")
    order_direction = Choice("Which way", choices=("ASC", "DESC"), default="ASC")
    include_stats = Flag("Also answer with the messages sent from each domain", default=False)


class DomainName(Parameters):
    name = Text("The domain's name", required=True, example="example.com")


class CreateDomain(DomainName):
    custom_mx_records = Names("Hosts that receive its mail instead of the platform's", default=())
    dmarc_record = Text("The owner's own DMARC record", default="")


class ShowDNSRecords(Parameters):
    domain_id = Identifier("The domain's UUID; it counts before the name")
    domain_name = Text("The domain's name", example="example.com")
    faults = (NO_DOMAIN_GIVEN,)

    def validate(self, given: dict[str, Any]) -> dict[str, Any]:
        if given["domain_id"] is None and given["domain_name"] is None:
            raise fault(NO_DOMAIN_GIVEN)
        return given


# --- organizations ----------------------------------------------------------------------------------------------------


class ShowOrganization(Parameters):
    organization_uuid = Identifier("The organization's UUID")
    uuid = Identifier("The same by another name")


class NamedOrganization(ShowOrganization):
    faults = (NO_ORGANIZATION_GIVEN,)

    def validate(self, given: dict[str, Any]) -> dict[str, Any]:
        if given["organization_uuid"] is None and given["uuid"] is None:
            raise fault(NO_ORGANIZATION_GIVEN)
        return given


# --- suppressions -----------------------------------------------------------------------------------------------------

SCOPES = ("server", "organization")
_ADDRESSES = f"E-mail addresses, at most {MOST_AT_ONCE:,}"
_MAIL_ADDRESS = {"type": "string", "format": "email", "minLength": 1}


class ListSuppressions(Page):
    reason = Choice(
        "Only suppressions for this reason", choices=tuple(Reason.values),
        wrong=f"reason must be one of {', '.join(Reason.values)}",
    )  # fmt: skip
    address = Text("Only suppressions of this address, as a whole", example="roger@example.com")


class ManyAddresses(Parameters):
    """Up to a thousand addresses."""

    addresses = Names(_ADDRESSES, required=True, example=["roger@example.com"])
    faults = (str(TOO_MANY), str(TOO_INTERNATIONAL))

    def validate(self, given: dict[str, Any]) -> dict[str, Any]:
        try:
            refuse_too_many(given["addresses"])
        except Invalid as refusal:
            raise fault(str(refusal)) from None
        return given


class ChosenAddresses(ManyAddresses):
    addresses = Names(_ADDRESSES, required=True, example=["roger@example.com"], each=_MAIL_ADDRESS)
    scope = Choice(
        "Suppressions of the key's server, or those of all servers of its organization", choices=SCOPES, default="server",
        wrong="scope must be server or organization",
    )  # fmt: skip


class AddSuppressions(ChosenAddresses):
    expires_at = Moment("Until when; without it, until they are removed", example="2027-01-01T00:00:00Z")


# --- webhooks ---------------------------------------------------------------------------------------------------------

DELIVERY_STATES = {label: value for value, label in Delivery.State.choices}
MOST_DELIVERIES = 100


class ListDeliveries(Parameters):
    webhook_id = Identifier("Only deliveries of the webhook with this UUID")
    status = Choice(
        "Only deliveries in this state", choices=tuple(DELIVERY_STATES),
        wrong=f"status must be one of {', '.join(DELIVERY_STATES)}",
    )  # fmt: skip
    before = Identifier("Only deliveries that came into being before the one with this UUID")
    limit = Whole(
        "At most so many, to 100", default=30, least=1, most=MOST_DELIVERIES,
        wrong=f"limit must be from 1 to {MOST_DELIVERIES}",
    )  # fmt: skip


class ResendDelivery(Parameters):
    delivery_id = Identifier("The delivery's UUID", required=True)
