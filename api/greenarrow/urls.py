"""Everything under /ga/api/v3/eng/."""

from django.urls import path, register_converter

from api.greenarrow import (
    effective_limits,
    ip_addresses,
    relay_servers,
    routing_rules,
    throttle_programs,
    throttles,
    throttling_rules,
    throttling_templates,
    virtual_mtas,
)
from api.greenarrow.converters import IdConverter

register_converter(IdConverter, "record_id")

ADDRESS = "ip_addresses/<record_id:address_id>"
TEMPLATE = "throttling_templates/<record_id:template_id>"
PROGRAM = "throttle_programs/<record_id:program_id>"

urlpatterns = [
    path("ip_addresses", ip_addresses.IPAddresses.as_view(), name="ga-ip-addresses"),
    path(ADDRESS, ip_addresses.SingleIPAddress.as_view(), name="ga-ip-address"),
    path(
        "ip_addresses/<record_id:owner_id>/throttling_rules",
        throttling_rules.AddressRules.as_view(),
        name="ga-ip-address-rules",
    ),
    path(
        "ip_addresses/<record_id:owner_id>/throttling_rules/<record_id:rule_id>",
        throttling_rules.AddressRule.as_view(),
        name="ga-ip-address-rule",
    ),
    path(
        f"{ADDRESS}/effective_limits",
        effective_limits.EffectiveLimitsOfAddress.as_view(),
        name="ga-ip-address-effective-limits",
    ),
    path(f"{ADDRESS}/throttles", throttles.Throttles.as_view(), name="ga-ip-address-throttles"),
    path("throttles_in_backoff", throttles.ThrottlesInBackoff.as_view(), name="ga-throttles-in-backoff"),
    path("throttling_templates", throttling_templates.ThrottlingTemplates.as_view(), name="ga-throttling-templates"),
    path(TEMPLATE, throttling_templates.SingleThrottlingTemplate.as_view(), name="ga-throttling-template"),
    path(
        f"{TEMPLATE}/used_by",
        throttling_templates.ThrottlingTemplateUsedBy.as_view(),
        name="ga-throttling-template-used-by",
    ),
    path(
        "throttling_templates/<record_id:owner_id>/throttling_rules",
        throttling_rules.TemplateRules.as_view(),
        name="ga-throttling-template-rules",
    ),
    path(
        "throttling_templates/<record_id:owner_id>/throttling_rules/<record_id:rule_id>",
        throttling_rules.TemplateRule.as_view(),
        name="ga-throttling-template-rule",
    ),
    path("throttle_programs", throttle_programs.ThrottlePrograms.as_view(), name="ga-throttle-programs"),
    path(PROGRAM, throttle_programs.SingleThrottleProgram.as_view(), name="ga-throttle-program"),
    path(f"{PROGRAM}/used_by", throttle_programs.ThrottleProgramUsedBy.as_view(), name="ga-throttle-program-used-by"),
    path("virtual_mtas", virtual_mtas.VirtualMTAs.as_view(), name="ga-virtual-mtas"),
    path("virtual_mtas/default", virtual_mtas.DefaultVirtualMTA.as_view(), name="ga-virtual-mta-default"),
    path(
        "virtual_mtas/<record_id:virtual_mta_id>/used_by",
        virtual_mtas.VirtualMTAUsedBy.as_view(),
        name="ga-virtual-mta-used-by",
    ),
    path("relay_servers", relay_servers.RelayServers.as_view(), name="ga-relay-servers"),
    path("relay_servers/<record_id:relay_id>", relay_servers.SingleRelayServer.as_view(), name="ga-relay-server"),
    path("routing_rules", routing_rules.RoutingRules.as_view(), name="ga-routing-rules"),
    path("routing_rules/<record_id:rule_id>", routing_rules.SingleRoutingRule.as_view(), name="ga-routing-rule"),
]
