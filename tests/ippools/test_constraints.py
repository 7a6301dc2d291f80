"""What the tables of ippools refuse."""

import datetime
import uuid

from ippools.models import (
    AddressCap,
    AddressDrain,
    AddressIdentity,
    Blocklist,
    DeliveryTarget,
    FormerAddressName,
    IPAddress,
    Listing,
    OverrideDomain,
    VirtualMTA,
    WarmUp,
    WarmUpDay,
)
from tests.factories import (
    DeliveryTargetFactory,
    DomainOverrideFactory,
    IPAddressFactory,
    IPPoolFactory,
    IPPoolMemberFactory,
    OverrideDomainFactory,
    RelayServerFactory,
    RoutingRuleFactory,
)
from tests.refusals import Refusals, beyond_a_limit
from throttling.models import Rule, WarmUpPlan

refusals = Refusals("ippools")
NOON = datetime.datetime(2026, 11, 27, 12, tzinfo=datetime.UTC)
TENANT = uuid.UUID("00000000-0000-4000-8000-000000000001")


@refusals.by("ippools_virtualmta_kind")
def _():
    IPAddressFactory()
    VirtualMTA.objects.update(kind="pigeon")


@refusals.by("ippools_virtualmta_name_unique")
def _():
    # Across kinds: the base table holds the names of all three.
    IPAddressFactory(name="Ausgang Süd")
    RelayServerFactory(name="AUSGANG SÜD")


@refusals.by("ippools_virtualmta_name_not_empty")
def _():
    IPAddressFactory(name="")


@refusals.by("ippools_virtualmta_redirect_elsewhere")
def _():
    address = IPAddressFactory()
    VirtualMTA.objects.filter(pk=address.pk).update(redirect=address.pk)


@refusals.by("ippools_virtualmta_redirect_kind")
def _():
    RoutingRuleFactory(redirect=IPAddressFactory())


@refusals.by("ippools_virtualmta_one_default")
def _():
    IPAddressFactory(is_default=True)
    RoutingRuleFactory(is_default=True)


@refusals.by("ippools.IPAddress.ipv4")
def _():
    IPAddressFactory(ipv4="192.0.2.1")
    IPAddressFactory(ipv4="192.0.2.1")


@refusals.by("ippools.IPAddress.ipv6")
def _():
    # Two ways to write one address.
    IPAddressFactory(ipv6="2001:db8::1")
    IPAddressFactory(ipv6="2001:0DB8:0:0::0001")


@refusals.by("ippools.IPAddress.rules")
def _():
    IPAddressFactory(rules=IPAddressFactory().rules)


@refusals.by("ippools_ipaddress_priority_range")
def _():
    IPAddressFactory()
    IPAddress.objects.update(priority=101)


@refusals.by("ippools_ipaddress_hostname_not_empty")
def _():
    IPAddressFactory(hostname="")


@refusals.by("ippools_relayserver_port_range")
def _():
    RelayServerFactory(destination_port=65_536)


@refusals.by("ippools_relayserver_limits")
def _():
    RelayServerFactory(max_messages_per_hour=beyond_a_limit())


@refusals.by("ippools_relayserver_hostnames_not_empty")
def _():
    RelayServerFactory(destination_hostname="")


@refusals.by("ippools_routingrule_randomization")
def _():
    RoutingRuleFactory(randomization_type="dice")


@refusals.by("ippools_domainoverride_randomization")
def _():
    DomainOverrideFactory(randomization_type="dice")


@refusals.by("ippools_overridedomain_pattern_unique")
def _():
    first = OverrideDomainFactory(pattern="example.com")
    other = DomainOverrideFactory(routing_rule=first.routing_rule)
    OverrideDomainFactory(override=other, pattern="example.com")


@refusals.by("ippools_overridedomain_pattern_not_empty")
def _():
    OverrideDomainFactory()
    OverrideDomain.objects.update(pattern="")


@refusals.by("ippools_deliverytarget_portion_positive")
def _():
    DeliveryTargetFactory(portion_of_mail=0)


@refusals.by("ippools_deliverytarget_not_itself")
def _():
    target = DeliveryTargetFactory()
    DeliveryTarget.objects.update(virtual_mta=target.routing_rule_id)


@refusals.by("ippools_deliverytarget_default_once")
def _():
    target = DeliveryTargetFactory()
    DeliveryTargetFactory(routing_rule=target.routing_rule, virtual_mta=target.virtual_mta)


@refusals.by("ippools_deliverytarget_override_once")
def _():
    override = DomainOverrideFactory()
    target = DeliveryTargetFactory(routing_rule=override.routing_rule, override=override)
    DeliveryTargetFactory(routing_rule=override.routing_rule, override=override, virtual_mta=target.virtual_mta)


@refusals.by("ippools.IPPool.uuid")
def _():
    IPPoolFactory(uuid=IPPoolFactory().uuid)


@refusals.by("ippools_ippool_name_unique")
def _():
    IPPoolFactory(namespace=TENANT, name="Haupt")
    # Neither another tenant's pool nor the platform's is in the way.
    IPPoolFactory(namespace=uuid.uuid4(), name="Haupt")
    IPPoolFactory(namespace=None, name="Haupt")
    IPPoolFactory(namespace=TENANT, name="HAUPT")


@refusals.by("ippools_ippool_platform_name_unique")
def _():
    IPPoolFactory(name="Shared")
    IPPoolFactory(name="shared")


@refusals.by("ippools_ippool_name_not_empty")
def _():
    IPPoolFactory(name="")


@refusals.by("ippools_ippool_one_default")
def _():
    IPPoolFactory(namespace=TENANT, is_default=True)
    IPPoolFactory(namespace=uuid.uuid4(), is_default=True)
    IPPoolFactory(namespace=TENANT, is_default=True)


@refusals.by("ippools_ippool_one_platform_default")
def _():
    IPPoolFactory(is_default=True)
    IPPoolFactory(is_default=True)


@refusals.by("ippools_ippoolmember_unique")
def _():
    member = IPPoolMemberFactory()
    IPPoolMemberFactory(ip_address=member.ip_address)
    IPPoolMemberFactory(pool=member.pool, ip_address=member.ip_address)


@refusals.by("ippools_addressidentity_statuses")
def _():
    AddressIdentity.objects.create(ip_address=IPAddressFactory(), fcrdns_status="maybe")


@refusals.by("ippools_ipaddress_pause")
def _():
    IPAddressFactory()
    IPAddress.objects.update(pause_reason="Listed")


def cap(**columns):
    values = {"kind": "manual", "reason": "x", "began_at": NOON, "max_messages_per_hour": 1, **columns}
    return AddressCap.objects.create(address=values.pop("address", None) or IPAddressFactory(), **values)


def rule_of(address):
    return Rule.objects.create(rule_set=address.rules, slot=1, max_concurrent_connections=0, max_messages_per_hour=0)


@refusals.by("ippools_cap_kind")
def _():
    cap(kind="whim")


@refusals.by("ippools_cap_bounds_something")
def _():
    cap(max_messages_per_hour=None)


@refusals.by("ippools_cap_percent")
def _():
    cap(percent_of_messages=101)


@refusals.by("ippools_cap_period")
def _():
    cap(until=NOON)


@refusals.by("ippools_cap_one_scope")
def _():
    cap(address=(address := IPAddressFactory()), rule=rule_of(address), is_default=True)


@refusals.by("ippools_cap_one_of_a_rule")
def _():
    address = IPAddressFactory()
    rule = rule_of(address)
    cap(address=address, rule=rule)
    cap(address=address, rule=rule)


@refusals.by("ippools_cap_one_of_the_default")
def _():
    address = IPAddressFactory()
    cap(address=address, is_default=True)
    cap(address=address, is_default=True)


def warm_up(**columns: object) -> WarmUp:
    row = {"plan": WarmUpPlan.objects.order_by("pk")[0], "begins_on": NOON.date()}
    return WarmUp.objects.create(**({"address": IPAddressFactory()} | row | columns))


@refusals.by("ippools_warm_up_one")
def _():
    address = IPAddressFactory()
    warm_up(address=address, ended_at=NOON)
    warm_up(address=address)
    warm_up(address=address)


@refusals.by("ippools_warm_up_lock")
def _():
    warm_up(lock_reason="holiday")


@refusals.by("ippools_warm_up_warm")
def _():
    warm_up(is_warm=True)


@refusals.by("ippools_warm_up_day_one")
def _():
    row = {"warm_up": warm_up(), "on": NOON.date(), "number": 1, "cap": 50, "change": "began", "reason": "day 1"}
    WarmUpDay.objects.create(**row)
    WarmUpDay.objects.create(**row)


@refusals.by("ippools_warm_up_day_number")
def _():
    WarmUpDay.objects.create(warm_up=warm_up(), on=NOON.date(), number=0, cap=50, change="began", reason="day 0")


@refusals.by("ippools_blocklist_name_unique")
def _():
    Blocklist.objects.create(name="bl.example")
    Blocklist.objects.create(name="bl.example")


@refusals.by("ippools_blocklist_name_not_empty")
def _():
    Blocklist.objects.create(name="")


@refusals.by("ippools_blocklist_ranges_not_empty")
def _():
    Blocklist.objects.create(name="bl.example", ranges="")


@refusals.by("ippools_blocklist_interval")
def _():
    Blocklist.objects.create(name="bl.example", interval=9)


@refusals.by("ippools_blocklist_families")
def _():
    Blocklist.objects.create(name="bl.example", lists_ipv4=False)


@refusals.by("ippools_blocklist_status")
def _():
    Blocklist.objects.create(name="bl.example", zone_status="fine")


def listing(**columns: object) -> Listing:
    row = {"blocklist": Blocklist.objects.get_or_create(name="bl.example")[0]}
    return Listing.objects.create(**({"address": IPAddressFactory()} | row | columns))


@refusals.by("ippools_listing_one")
def _():
    address = IPAddressFactory()
    listing(address=address)
    listing(address=address)


@refusals.by("ippools_listing_status")
def _():
    listing(listing_status="maybe")


@refusals.by("ippools_formeraddressname_name_not_empty")
def _():
    FormerAddressName.objects.create(name="", address_id=1, until=NOON)


@refusals.by("ippools_listing_seen")
def _():
    listing(first_seen_at=NOON)


def drain(**columns: object) -> AddressDrain:
    row = {"effect": "told", "reason": "Listed", "began_at": NOON}
    return AddressDrain.objects.create(**({"address": IPAddressFactory()} | row | columns))


@refusals.by("ippools_drain_effect")
def _():
    drain(effect="flushed")


@refusals.by("ippools_drain_one")
def _():
    address = IPAddressFactory()
    drain(address=address, ended_at=NOON)
    drain(address=address)
    drain(address=address)


@refusals.by("ippools_drain_drained_at")
def _():
    drain(effect="drained")


@refusals.by("ippools_drain_spared")
def _():
    drain(spared_until=NOON)


@refusals.by("ippools_ippool_drain_mode")
def _():
    IPPoolFactory(drain_mode="maybe")


@refusals.by("ippools_ippool_drain_share")
def _():
    IPPoolFactory(drain_share=51)


test_the_database_refuses = refusals.as_test()
