"""Records as they stand in a database, each valid by itself, made without the acts; what a test is about it says itself."""

import datetime

import factory
from factory.django import DjangoModelFactory

from core import keys
from core.encryption import encrypt
from core.models import ApiToken, AuditEntry, Job, User
from ippools.models import (
    DeliveryTarget,
    DomainOverride,
    IPAddress,
    IPPool,
    IPPoolMember,
    OverrideDomain,
    RelayServer,
    RoutingRule,
)
from nodes.models import Node, NodeAddress, NodePolicy, Revision, RevisionPolicy
from servers.models import (
    Credential,
    Domain,
    DomainKey,
    FormerPermalink,
    IPPoolRule,
    Membership,
    Organization,
    OrganizationPool,
    Route,
    Server,
    Webhook,
)
from throttling.models import Rule, RuleDomain, RuleSet, ThrottleProgram, ThrottlingTemplate
from webhooks.models import Circuit, Delivery, SigningKey

# --- core -------------------------------------------------------------------------------------------------------------


class UserFactory(DjangoModelFactory):
    class Meta:
        model = User

    username = factory.Sequence("person-{}".format)
    is_staff = True


class ApiTokenFactory(DjangoModelFactory):
    class Meta:
        model = ApiToken

    user = factory.SubFactory(UserFactory)
    name = "Token"
    key_digest = factory.LazyFunction(lambda: keys.digest(keys.make_key()))


class AuditEntryFactory(DjangoModelFactory):
    class Meta:
        model = AuditEntry

    actor_kind = "system"
    actor_label = "Sluice"
    act = "server.created"
    target_type = "servers.server"
    target_id = "1"
    target_label = "Mail"


class JobFactory(DjangoModelFactory):
    class Meta:
        model = Job

    kind = "test"
    label = "A job"


# --- throttling -------------------------------------------------------------------------------------------------------


class RuleSetFactory(DjangoModelFactory):
    class Meta:
        model = RuleSet

    kind = "address"


class RuleFactory(DjangoModelFactory):
    class Meta:
        model = Rule

    rule_set = factory.SubFactory(RuleSetFactory)
    slot = 1
    max_concurrent_connections = 5
    max_messages_per_hour = 100


class RuleDomainFactory(DjangoModelFactory):
    class Meta:
        model = RuleDomain

    rule = factory.SubFactory(RuleFactory)
    rule_set = factory.SelfAttribute("rule.rule_set")
    pattern = factory.Sequence("domain-{}.example".format)
    position = 0


class TemplateFactory(DjangoModelFactory):
    class Meta:
        model = ThrottlingTemplate

    name = factory.Sequence("Template {}".format)
    rules = factory.SubFactory(
        RuleSetFactory, kind="template", max_concurrent_connections=0, max_messages_per_hour=0
    )  # fmt: skip


class ProgramFactory(DjangoModelFactory):
    class Meta:
        model = ThrottleProgram

    name = factory.Sequence("Program {}".format)
    failure_rate = 50


# --- ippools ----------------------------------------------------------------------------------------------------------


def default_template() -> ThrottlingTemplate:
    """Return the template that the migration made."""
    return ThrottlingTemplate.objects.get(is_default=True)


class IPAddressFactory(DjangoModelFactory):
    class Meta:
        model = IPAddress

    kind = "ip_address"
    name = factory.Sequence("address-{}".format)
    ipv4 = factory.Sequence(lambda number: f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}")
    hostname = factory.Sequence("mail-{}.example".format)
    template = factory.LazyFunction(default_template)
    rules = factory.SubFactory(RuleSetFactory)


class RelayServerFactory(DjangoModelFactory):
    class Meta:
        model = RelayServer

    kind = "relay_server"
    name = factory.Sequence("relay-{}".format)
    source_ip = "10.255.0.1"
    source_hostname = "out.example"
    destination_hostname = "in.example"


class RoutingRuleFactory(DjangoModelFactory):
    class Meta:
        model = RoutingRule

    kind = "routing_rule"
    name = factory.Sequence("routing-{}".format)


class DomainOverrideFactory(DjangoModelFactory):
    class Meta:
        model = DomainOverride

    routing_rule = factory.SubFactory(RoutingRuleFactory)


class OverrideDomainFactory(DjangoModelFactory):
    class Meta:
        model = OverrideDomain

    override = factory.SubFactory(DomainOverrideFactory)
    routing_rule = factory.SelfAttribute("override.routing_rule")
    pattern = factory.Sequence("domain-{}.example".format)
    position = 0


class DeliveryTargetFactory(DjangoModelFactory):
    class Meta:
        model = DeliveryTarget

    routing_rule = factory.SubFactory(RoutingRuleFactory)
    virtual_mta = factory.SubFactory(IPAddressFactory)


class IPPoolFactory(DjangoModelFactory):
    class Meta:
        model = IPPool

    name = factory.Sequence("Pool {}".format)


class IPPoolMemberFactory(DjangoModelFactory):
    class Meta:
        model = IPPoolMember

    pool = factory.SubFactory(IPPoolFactory)
    ip_address = factory.SubFactory(IPAddressFactory)


# --- servers ----------------------------------------------------------------------------------------------------------


class OrganizationFactory(DjangoModelFactory):
    class Meta:
        model = Organization

    name = factory.Sequence("Organization {}".format)
    permalink = factory.Sequence("organization-{}".format)


class FormerPermalinkFactory(DjangoModelFactory):
    class Meta:
        model = FormerPermalink

    permalink = factory.Sequence("former-{}".format)
    organization = factory.SubFactory(OrganizationFactory)
    until = datetime.datetime(2026, 11, 18, tzinfo=datetime.UTC)
    held_until = datetime.datetime(2026, 12, 18, tzinfo=datetime.UTC)


class MembershipFactory(DjangoModelFactory):
    class Meta:
        model = Membership

    user = factory.SubFactory(UserFactory)
    organization = factory.SubFactory(OrganizationFactory)
    role = "owner"


class ServerFactory(DjangoModelFactory):
    class Meta:
        model = Server

    organization = factory.SubFactory(OrganizationFactory)
    name = factory.Sequence("Server {}".format)
    permalink = factory.Sequence("server-{}".format)


class CredentialFactory(DjangoModelFactory):
    class Meta:
        model = Credential

    class Params:
        key = factory.LazyFunction(keys.make_key)

    server = factory.SubFactory(ServerFactory)
    kind = "api"
    name = "Key"
    key_prefix = factory.LazyAttribute(lambda each: keys.prefix(each.key))
    key_digest = factory.LazyAttribute(lambda each: keys.digest(each.key))
    key_ciphertext = factory.LazyAttribute(lambda each: encrypt(each.key))


class DomainFactory(DjangoModelFactory):
    class Meta:
        model = Domain

    server = factory.SubFactory(ServerFactory)
    name = factory.Sequence("domain-{}.example".format)
    verification_token = "token"
    dkim_identifier = "ident"
    dkim_private_key = ""
    dkim_public_key = ""


class DomainKeyFactory(DjangoModelFactory):
    class Meta:
        model = DomainKey

    organization = factory.SubFactory(OrganizationFactory)
    name = factory.Sequence("domain-{}.example".format)
    verification_token = "token"
    dkim_identifier = "ident"
    dkim_private_key = ""
    dkim_public_key = ""


class WebhookFactory(DjangoModelFactory):
    class Meta:
        model = Webhook

    server = factory.SubFactory(ServerFactory)
    name = "Hook"
    url = "https://hooks.example/"


class RouteFactory(DjangoModelFactory):
    class Meta:
        model = Route

    server = factory.SubFactory(ServerFactory)
    name = "info"


class OrganizationPoolFactory(DjangoModelFactory):
    class Meta:
        model = OrganizationPool

    organization = factory.SubFactory(OrganizationFactory)
    pool = factory.SubFactory(IPPoolFactory)


class IPPoolRuleFactory(DjangoModelFactory):
    class Meta:
        model = IPPoolRule

    organization = factory.SubFactory(OrganizationFactory)
    pool = factory.SubFactory(IPPoolFactory)
    from_conditions = "example.com"


A_MOMENT = datetime.datetime(2026, 11, 18, 10, 30, 15, 250_000, tzinfo=datetime.UTC)


# --- nodes ------------------------------------------------------------------------------------------------------------


class NodeFactory(DjangoModelFactory):
    class Meta:
        model = Node

    name = factory.Sequence("node-{}".format)
    kind = "haraka"
    key_digest = factory.LazyFunction(lambda: keys.digest(keys.make_key()))


class NodeAddressFactory(DjangoModelFactory):
    class Meta:
        model = NodeAddress

    node = factory.SubFactory(NodeFactory)
    ip_address = factory.SubFactory(IPAddressFactory)


class RevisionFactory(DjangoModelFactory):
    class Meta:
        model = Revision

    number = factory.Sequence(lambda number: number + 1)
    kind = "published"
    digest = "0" * 64
    created_at = datetime.datetime(2026, 11, 18, tzinfo=datetime.UTC)


class NodePolicyFactory(DjangoModelFactory):
    class Meta:
        model = NodePolicy

    node_id = 1
    node_name = "node"
    kind = "haraka"
    number = 1


class RevisionPolicyFactory(DjangoModelFactory):
    class Meta:
        model = RevisionPolicy

    revision = factory.SubFactory(RevisionFactory)
    policy = factory.SubFactory(NodePolicyFactory)


# --- webhooks ---------------------------------------------------------------------------------------------------------


class DeliveryFactory(DjangoModelFactory):
    class Meta:
        model = Delivery

    webhook = factory.SubFactory(WebhookFactory)
    server = factory.SelfAttribute("webhook.server")
    event = "MessageSent"
    body = '{"event":"MessageSent"}'
    created_at = due_at = A_MOMENT
    until = A_MOMENT + datetime.timedelta(days=3)


class CircuitFactory(DjangoModelFactory):
    class Meta:
        model = Circuit

    webhook = factory.SubFactory(WebhookFactory)


class SigningKeyFactory(DjangoModelFactory):
    class Meta:
        model = SigningKey

    kid = factory.Sequence("key-{}".format)
    private_key = factory.LazyFunction(lambda: encrypt("private"))
    public_key = "public"
    created_at = signs_from = A_MOMENT
