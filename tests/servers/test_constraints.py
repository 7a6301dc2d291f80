"""What the tables of servers refuse."""

import datetime

from servers.models import Credential, Domain, DomainVerification, Invitation, Organization, SendLimitMark, Server
from tests.factories import (
    A_MOMENT,
    CredentialFactory,
    DomainFactory,
    DomainKeyFactory,
    FormerPermalinkFactory,
    IPPoolRuleFactory,
    MembershipFactory,
    OrganizationFactory,
    OrganizationPoolFactory,
    RouteFactory,
    ServerFactory,
    WebhookFactory,
)
from tests.refusals import Refusals

refusals = Refusals("servers")
A_DAY = datetime.timedelta(days=1)
HOUR = datetime.timedelta(hours=1)


@refusals.by("servers.Organization.uuid")
def _():
    OrganizationFactory(uuid=OrganizationFactory().uuid)


@refusals.by("servers.Organization.permalink")
def _():
    OrganizationFactory(permalink="acme")
    OrganizationFactory(permalink="acme")


@refusals.by("servers_organization_name_unique")
def _():
    OrganizationFactory(name="Ofﬁce")
    OrganizationFactory(name="OFFICE")


@refusals.by("servers_organization_names_not_empty")
def _():
    OrganizationFactory(permalink="")


@refusals.by("servers_organization_suspension")
def _():
    OrganizationFactory()
    Organization.objects.update(suspension_reason="Spam")


@refusals.by("servers_formerpermalink_unique")
def _():
    FormerPermalinkFactory(permalink="acme")
    FormerPermalinkFactory(permalink="acme", since=A_MOMENT - 9 * A_DAY)


@refusals.by("servers_formerpermalink_first")
def _():
    FormerPermalinkFactory(permalink="acme")
    FormerPermalinkFactory(permalink="acme", until=A_MOMENT)


@refusals.by("servers_formerpermalink_permalink_not_empty")
def _():
    FormerPermalinkFactory(permalink="")


@refusals.by("servers_formerpermalink_times")
def _():
    FormerPermalinkFactory(since=A_MOMENT, until=A_MOMENT)


def verification(**columns):
    values = {"name": "example.com", "since": A_MOMENT} | columns
    return DomainVerification.objects.create(**{"server": ServerFactory()} | values)


@refusals.by("servers_domainverification_unique")
def _():
    period = verification(until=A_MOMENT + A_DAY)
    # Other names and other servers.
    verification(server=period.server, name="example.org")
    verification()
    verification(server=period.server, until=A_MOMENT + HOUR)


@refusals.by("servers_domainverification_open")
def _():
    verification(server=verification().server, since=A_MOMENT + A_DAY)


@refusals.by("servers_domainverification_name_not_empty")
def _():
    verification(name="")


@refusals.by("servers_domainverification_times")
def _():
    verification(until=A_MOMENT)


@refusals.by("servers_membership_unique")
def _():
    membership = MembershipFactory()
    MembershipFactory(user=membership.user)
    MembershipFactory(user=membership.user, organization=membership.organization, role="analyst")


@refusals.by("servers_invitation_username_unique")
def _():
    organization = OrganizationFactory()
    invitation(organization, username="ann")
    invitation(organization, username="ann")


@refusals.by("servers_invitation_email_unique")
def _():
    organization = OrganizationFactory()
    invitation(organization, email="ann@example.com")
    invitation(organization, email="ann@example.com")


@refusals.by("servers_invitation_whom")
def _():
    invitation(OrganizationFactory(), username="ann", email="ann@example.com")


@refusals.by("servers_invitation_role")
def _():
    invitation(OrganizationFactory(), username="ann", role="guest")


def invitation(organization, **columns):
    times = {"created_at": A_MOMENT, "expires_at": A_MOMENT}
    Invitation.objects.create(organization=organization, **{"role": "analyst", **times, **columns})


@refusals.by("servers_membership_role")
def _():
    MembershipFactory(role="guest")


@refusals.by("servers.Server.uuid")
def _():
    ServerFactory(uuid=ServerFactory().uuid)


@refusals.by("servers_server_name_unique")
def _():
    server = ServerFactory(name="Mail", deleted_at=A_MOMENT)
    # A deleted server's name is free, and other organizations have names of their own.
    ServerFactory(organization=server.organization, name="Mail")
    ServerFactory(name="Mail")
    ServerFactory(organization=server.organization, name="MAIL")


@refusals.by("servers_server_permalink_unique")
def _():
    server = ServerFactory(permalink="mail", deleted_at=A_MOMENT)
    ServerFactory(organization=server.organization, permalink="mail")
    ServerFactory(permalink="mail")
    ServerFactory(organization=server.organization, permalink="mail")


@refusals.by("servers_server_names_not_empty")
def _():
    ServerFactory(name="")


@refusals.by("servers_server_mode")
def _():
    ServerFactory(mode="Live")


@refusals.by("servers_server_suspension")
def _():
    ServerFactory()
    Server.objects.update(suspended_until=A_MOMENT)


@refusals.by("servers.Credential.key_digest")
def _():
    CredentialFactory(key="a" * 32)
    CredentialFactory(key="a" * 32)


@refusals.by("servers_credential_kind")
def _():
    CredentialFactory(kind="ftp")


@refusals.by("servers_credential_key")
def _():
    CredentialFactory()
    Credential.objects.update(network="192.0.2.0/24")


@refusals.by("servers_credential_name_not_empty")
def _():
    CredentialFactory(name="")


@refusals.by("servers_credential_one_default")
def _():
    credential = CredentialFactory(is_default=True)
    CredentialFactory(server=credential.server, kind="smtp", is_default=True)
    CredentialFactory(server=credential.server, is_default=True)


@refusals.by("servers.Domain.uuid")
def _():
    DomainFactory(uuid=DomainFactory().uuid)


@refusals.by("servers_domainkey_unique")
def _():
    key = DomainKeyFactory()
    DomainKeyFactory(organization=key.organization, name=key.name)


@refusals.by("servers_domainkey_name_not_empty")
def _():
    DomainKeyFactory(name="")


@refusals.by("servers_domain_name_unique")
def _():
    domain = DomainFactory(name="example.com")
    DomainFactory(name="example.com")
    DomainFactory(server=domain.server, name="example.com")


@refusals.by("servers_domain_name_not_empty")
def _():
    DomainFactory(name="")


@refusals.by("servers_domain_statuses")
def _():
    DomainFactory(spf_status="ok")
    Domain.objects.update(dmarc_status="maybe")


@refusals.by("servers.Webhook.uuid")
def _():
    WebhookFactory(uuid=WebhookFactory().uuid)


@refusals.by("servers_webhook_not_empty")
def _():
    WebhookFactory(url="")


@refusals.by("servers.Route.uuid")
def _():
    RouteFactory(uuid=RouteFactory().uuid)


@refusals.by("servers_route_unique")
def _():
    domain = DomainFactory()
    RouteFactory(server=domain.server, domain=domain)
    RouteFactory(server=domain.server, domain=domain)


@refusals.by("servers_route_unique_without_domain")
def _():
    route = RouteFactory()
    RouteFactory(server=route.server, domain=DomainFactory(server=route.server))
    RouteFactory(server=route.server)


@refusals.by("servers_route_mode")
def _():
    RouteFactory(mode="drop")


@refusals.by("servers_route_endpoint")
def _():
    RouteFactory(mode="endpoint")


@refusals.by("servers_organizationpool_unique")
def _():
    grant = OrganizationPoolFactory()
    OrganizationPoolFactory(organization=grant.organization, pool=grant.pool)


@refusals.by("servers.IPPoolRule.uuid")
def _():
    IPPoolRuleFactory(uuid=IPPoolRuleFactory().uuid)


@refusals.by("servers_ippoolrule_one_owner")
def _():
    IPPoolRuleFactory(server=ServerFactory())


@refusals.by("servers_ippoolrule_condition")
def _():
    IPPoolRuleFactory(from_conditions="")


@refusals.by("servers_domain_verification_status")
def _():
    DomainFactory(verification_status="maybe")


def mark(**columns: object) -> None:
    row = {"period": "hour", "level": "exceeded", "limit": 1, "sent": 1, "began_at": A_MOMENT, "until": A_MOMENT + HOUR}
    SendLimitMark.objects.create(**({"server": ServerFactory()} | row | columns))


@refusals.by("servers_send_limit_mark_period")
def _():
    mark(period="week")


@refusals.by("servers_send_limit_mark_level")
def _():
    mark(level="far")


@refusals.by("servers_send_limit_mark_until")
def _():
    mark(until=A_MOMENT)


@refusals.by("servers_send_limit_mark_one")
def _():
    server = ServerFactory()
    mark(server=server)
    mark(server=server, level="approaching")
    mark(server=server, limit=2)


test_the_database_refuses = refusals.as_test()
