"""Every act is one transaction; one that changes nothing writes nothing: no row, no entry in the audit trail.

Acts are found by what they have in common, a parameter `actor`. A new one fails here until it stands in a table.
"""

import datetime
import importlib
import inspect
import pkgutil

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from alerts import channels
from core import alerts, tokens, users
from core.models import AuditEntry, User
from core.provided_roles import rules_of
from ippools import blocklists, caps, drains, ip_addresses, pausing, relay_servers, routing_rules
from ippools.models import IPAddress
from nodes import nodes
from servers import credentials, domains, people, pool_rules, pools, provided_roles, provisioning, routes, webhooks
from servers.models import Membership
from stats.intake import event_sources, reply_rules
from stats.intake import tokens as ingest_tokens
from stats.reasons import Reason
from suppressions import rules as suppression_rules
from tests import words
from tests.alerts.factories import ChannelFactory
from tests.cast import ANN, NOW, SYSTEM, make_pool, make_tenant
from throttling import programs, rules, templates, warm_up_plans
from throttling.limits import CapKind

pytestmark = [pytest.mark.django_db, pytest.mark.storage]

LATER = NOW + datetime.timedelta(hours=1)
LIMITS = {"max_concurrent_connections": 1, "max_messages_per_hour": 2}
RULES = [{**LIMITS, "domains": ["a.com", "*.a.com"], "throttle_program": None}]


class World:
    """One record of each kind, with the values that the acts below give again."""

    def __init__(self):
        self.acme = make_tenant("Acme", server="Main")
        self.organization, self.server = self.acme.organization, self.acme.server
        self.pool = make_pool(self.organization, "Main", "192.0.2.1")
        self.spare = make_pool(self.organization, "Spare", "192.0.2.2")
        pools.withdraw_pool(organization=self.organization, pool=self.spare, actor=SYSTEM)
        provisioning.change_server(server=self.server, ip_pool=self.pool, send_limit=5, actor=SYSTEM)
        self.suspended = make_tenant("Late", server="Late")
        stopped = {"reason": "Unpaid", "at": NOW, "actor": SYSTEM}
        provisioning.suspend_server(server=self.suspended.server, **stopped)
        provisioning.suspend_organization(organization=self.suspended.organization, **stopped)
        self.user = User.objects.create(username="ann", is_staff=True)
        self.membership = Membership.objects.create(user=self.user, organization=self.organization, role="owner")
        self.token = tokens.create_token(user=self.user, name="CI", expires_at=None, at=NOW, actor=SYSTEM).token
        tokens.revoke_token(token=self.token, at=NOW, actor=SYSTEM)
        self.credential = self.server.credentials.get(kind="api")
        self.held = self.server.credentials.get(kind="smtp")
        credentials.hold_credential(credential=self.held, at=NOW, actor=SYSTEM)
        self.domain = domains.create_domain(server=self.server, name="acme.example", at=NOW, actor=SYSTEM).domain
        self.webhook = webhooks.create_webhook(
            server=self.server, name="Hook", url="https://acme.example/", actor=SYSTEM
        )
        self.channel = ChannelFactory()
        self.route = routes.create_route(server=self.server, name="*", mode="accept", actor=SYSTEM)
        self.pool_rule = pool_rules.create_rule(
            owner=self.server, pool=self.pool, from_conditions=["a.example"], actor=SYSTEM
        )
        self.template = words.templates.create({"name": "T", "default": LIMITS, "rules": RULES}, actor=SYSTEM)
        self.address = words.ip_addresses.create(
            {
                "name": "out-1",
                "ipv4": "192.0.2.9",
                "ipv6": "::192.0.2.7",
                "hostname": "out.example.com",
                "throttling_template": {"name": "T"},
                "default": LIMITS,
                "rules": RULES,
            },
            actor=SYSTEM,
        )
        self.paused = IPAddress.objects.get(ipv4="192.0.2.1")
        pausing.pause(self.paused.pk, reason="Listed", until=LATER, at=NOW, actor=SYSTEM)
        self.blocklist = blocklists.create(name="bl.example", actor=SYSTEM)
        self.plan = warm_up_plans.create(name="Plan", days=[50], actor=SYSTEM)
        self.program = programs.create(actor=SYSTEM, name="P", failure_rate=5)
        self.relay = relay_servers.create(
            actor=SYSTEM,
            name="relay",
            source_ip="192.0.2.3",
            source_hostname="out.example.com",
            destination_hostname="relay.example.com",
            destination_port=25,
            destination_password="secret",
            **LIMITS,
        )
        through = {
            "randomization_type": "random",
            "deliver_through": [{"virtual_mta": {"id": self.address.pk}, "portion_of_mail": 2.5}],
        }
        self.routing = words.routing_rules.create(
            {"name": "route", "default": through, "domain_overrides": [{"domains": ["a.com"], **through}]}, actor=SYSTEM
        )
        words.virtual_mtas.choose_default({"virtual_mta": {"id": self.address.pk}}, actor=SYSTEM)
        self.cap = caps.begin(
            address_id=self.address.pk, kind=CapKind.MANUAL, reason="Listed", at=NOW, until=LATER, actor=SYSTEM,
            max_messages_per_hour=5,
        )  # fmt: skip
        alerts.set_aside(**self.alert, actor=ANN)
        self.source = event_sources.make_source(name="Vendor", format="sendgrid", actor=SYSTEM).source
        self.revoked = event_sources.make_source(name="Former", format="sendgrid", actor=SYSTEM).source
        event_sources.revoke_source(source=self.revoked, at=NOW, actor=SYSTEM)
        event_sources.map_text(source=self.source, text="acme", server=self.server, actor=SYSTEM)
        self.reply_rule = reply_rules.create_rule(reason=Reason.MAILBOX_FULL, pattern="full", actor=SYSTEM)
        self.ingest_token = ingest_tokens.make_ingest_token(name="Collector", actor=SYSTEM).token
        ingest_tokens.revoke_ingest_token(token=self.ingest_token, at=NOW, actor=SYSTEM)
        self.node = nodes.create_node(name="mta-1", kind="haraka", addresses=["192.0.2.9"], actor=SYSTEM).node

    alert = {"audience": "platform", "key": "k", "label": "K", "is_hidden": False, "until": LATER, "at": NOW}

    def same_rules(self, owner, fields):
        """Return the fields with the ids of the rules that the owner has."""
        ids = [rule.pk for rule in owner.rules.rules.all()]
        return {**fields, "rules": [{**rule, "id": pk} for rule, pk in zip(fields["rules"], ids, strict=True)]}


@pytest.fixture
def world(db):
    return World()


# By the act's name, a call of it that gives what is there already.
UNCHANGED = {
    "alerts.channels.change_channel": lambda w: channels.change_channel(
        channel=w.channel, name=w.channel.name, target="ops@example.com", least="warn", conditions=[], actor=ANN
    ),
    "core.alerts.set_aside": lambda w: alerts.set_aside(**w.alert, actor=ANN),
    "core.alerts.take_back": lambda w: alerts.take_back(audience="platform", key="other", actor=ANN),
    "core.tokens.revoke_token": lambda w: tokens.revoke_token(token=w.token, at=LATER, actor=ANN),
    "core.users.change_user": lambda w: users.change_user(
        user=w.user, username="ann", is_staff=True, groups=[], actor=ANN
    ),
    "throttling.programs.change": lambda w: programs.change(w.program.pk, name="P", failure_rate=5, actor=ANN),
    "throttling.rules.change": lambda w: rules.change(
        w.template, w.template.rules.rules.get().pk, domains=["A.com", "*.a.com"], **LIMITS, actor=ANN
    ),
    "throttling.templates.change": lambda w: templates.change(
        w.template.pk, **w.same_rules(w.template, templates.fields_of(w.template.document())), actor=ANN
    ),
    "throttling.warm_up_plans.change": lambda w: warm_up_plans.change(w.plan.pk, name="Plan", days=[50], actor=ANN),
    "ippools.blocklists.change": lambda w: blocklists.change(
        w.blocklist.pk, name="BL.example", ranges="127.0.0.2 - 127.0.0.11", interval=60, actor=ANN
    ),
    "ippools.drains.configure": lambda w: drains.configure(w.pool.pk, mode=None, share=30, actor=ANN),
    "ippools.caps.rebound": lambda w: caps.rebound(
        w.cap.pk, max_messages_per_hour=w.cap.max_messages_per_hour, at=NOW, actor=ANN
    ),
    "ippools.caps.extend": lambda w: caps.extend(w.cap.pk, until=LATER, reason="Listed", at=NOW, actor=ANN),
    "ippools.ip_addresses.change": lambda w: ip_addresses.change(
        w.address.pk, **w.same_rules(w.address, ip_addresses.fields_of(w.address.document())), actor=ANN
    ),
    "ippools.pausing.pause": lambda w: pausing.pause(w.paused.pk, reason="Listed", until=LATER, at=NOW, actor=ANN),
    "ippools.pausing.resume": lambda w: pausing.resume(w.address.pk, actor=ANN),
    "ippools.relay_servers.change": lambda w: relay_servers.change(
        w.relay.pk, name="relay", redirect=None, destination_password="secret", actor=ANN
    ),
    "ippools.routing_rules.change": lambda w: routing_rules.change(
        w.routing.pk, **same_overrides(w.routing), actor=ANN
    ),
    "ippools.virtual_mtas.choose_default": lambda w: words.virtual_mtas.choose_default(
        {"virtual_mta": {"name": "OUT-1"}}, actor=ANN
    ),
    "servers.credentials.change_credential": lambda w: credentials.change_credential(
        credential=w.credential, name=w.credential.name, can_manage_organization=True, expires_at=None, actor=ANN
    ),
    "servers.credentials.hold_credential": lambda w: credentials.hold_credential(
        credential=w.held, at=LATER, actor=ANN
    ),
    "servers.credentials.release_credential": lambda w: credentials.release_credential(
        credential=w.credential, actor=ANN
    ),
    "servers.domains.create_domain": lambda w: domains.create_domain(
        server=w.server, name="acme.example", at=LATER, actor=ANN
    ),
    "servers.domains.change_domain": lambda w: domains.change_domain(
        domain=w.domain, dmarc_record="", outgoing=True, actor=ANN
    ),
    "servers.people.change_role": lambda w: people.change_role(membership=w.membership, role="owner", actor=ANN),
    "servers.pool_rules.change_rule": lambda w: pool_rules.change_rule(
        rule=w.pool_rule, from_conditions=["A.example"], actor=ANN
    ),
    "servers.pool_rules.order_rules": lambda w: pool_rules.order_rules(owner=w.server, ids=[w.pool_rule.pk], actor=ANN),
    "servers.pools.grant_pool": lambda w: pools.grant_pool(organization=w.organization, pool=w.pool, actor=ANN),
    "servers.pools.withdraw_pool": lambda w: pools.withdraw_pool(organization=w.organization, pool=w.spare, actor=ANN),
    "servers.pools.add_members": lambda w: pools.add_members(
        pool=w.pool, addresses=list(w.pool.addresses.all()), actor=ANN
    ),
    "servers.pools.change_pool": lambda w: pools.change_pool(pool=w.pool, name="Main", is_default=False, actor=ANN),
    "servers.pools.remove_members": lambda w: pools.remove_members(pool=w.pool, addresses=[w.address], actor=ANN),
    "servers.provisioning.change_organization": lambda w: provisioning.change_organization(
        at=timezone.now(), organization=w.organization, name=f" {w.organization.name} ", time_zone="UTC", actor=ANN
    ),
    "servers.provisioning.suspend_organization": lambda w: provisioning.suspend_organization(
        organization=w.suspended.organization, reason="Unpaid", at=NOW, actor=ANN
    ),
    "servers.provisioning.resume_organization": lambda w: provisioning.resume_organization(
        organization=w.organization, actor=ANN
    ),
    "servers.provisioning.create_server": lambda w: provisioning.create_server(
        organization=w.organization, name="Main", actor=ANN
    ),
    "servers.provisioning.change_server": lambda w: provisioning.change_server(
        server=w.server, name=w.server.name, mode="live", ip_pool=w.pool, send_limit=5, actor=ANN
    ),
    "servers.provisioning.suspend_server": lambda w: provisioning.suspend_server(
        server=w.suspended.server, reason="Unpaid", at=NOW, actor=SYSTEM
    ),
    "servers.provided_roles.follow": lambda w: provided_roles.follow(
        user=w.user, rules=rules_of(["it=acme/owner", "admins=superuser"]), groups=["it"], at=NOW, actor=ANN
    ),
    "servers.provisioning.resume_server": lambda w: provisioning.resume_server(server=w.server, actor=ANN),
    "servers.routes.change_route": lambda w: routes.change_route(route=w.route, name="*", mode="accept", actor=ANN),
    "servers.webhooks.change_webhook": lambda w: webhooks.change_webhook(
        webhook=w.webhook, name="Hook", enabled=True, actor=ANN
    ),
    "suppressions.rules.change_rules": lambda w: suppression_rules.change_rules(
        organization=w.organization, bounce_threshold=1, actor=ANN
    ),
    "stats.intake.event_sources.change_source": lambda w: event_sources.change_source(
        source=w.source, name="Vendor", time_zone="UTC", is_active=True, actor=ANN
    ),
    "stats.intake.event_sources.revoke_source": lambda w: event_sources.revoke_source(
        source=w.revoked, at=LATER, actor=ANN
    ),
    "stats.intake.event_sources.map_text": lambda w: event_sources.map_text(
        source=w.source, text="acme", server=w.server, actor=ANN
    ),
    "stats.intake.reply_rules.change_rule": lambda w: reply_rules.change_rule(
        rule=w.reply_rule, pattern="full", note="", actor=ANN
    ),
    "stats.intake.tokens.revoke_ingest_token": lambda w: ingest_tokens.revoke_ingest_token(
        token=w.ingest_token, at=LATER, actor=ANN
    ),
    "nodes.nodes.change_node": lambda w: nodes.change_node(
        node=w.node, name="mta-1", addresses=["192.0.2.9"], actor=ANN
    ),
    "nodes.nodes.add_addresses": lambda w: nodes.add_addresses(node=w.node, addresses=[w.address], actor=ANN),
}

# Acts that make, end or show something whenever they do not refuse.
WRITES = {
    "core.identities": {"link", "unlink"},
    "core.password_links": {"invite"},
    "core.second_factor": {"confirm", "renew_recovery_codes", "remove"},
    "core.tokens": {"create_token"},
    "core.users": {"make_user", "set_password"},
    "throttling.programs": {"create", "delete"},
    "throttling.rules": {"create", "delete"},
    "throttling.templates": {"create", "delete"},
    "throttling.warm_up_plans": {"create", "delete"},
    "ippools.addresses": {"create_many", "create_one"},
    "ippools.blocklists": {"create", "delete"},
    "ippools.caps": {"begin", "end"},
    # Where a step changes nothing: tests/nodes/test_healing.py.
    "ippools.drains": {"take", "spare"},
    "ippools.ip_addresses": {"create", "delete"},
    "ippools.relay_servers": {"create", "delete"},
    "ippools.routing_rules": {"create", "delete"},
    # `hold` and `release` write only what differs; a warm-up under way is in tests/stats/test_warm_up.py.
    "ippools.warm_ups": {"begin", "begin_many", "hold", "release", "stop", "finish", "decide"},
    "servers.address_file": {"import_rows"},
    "servers.credentials": {
        "hold_returning", "share_network", "create_credential", "create_network_credential",
        "rotate_credential", "reveal_key", "delete_credential",
    },
    "servers.domain_checks": {"check_domain", "record_verification"},
    "servers.domains": {"delete_domain", "verify_domain"},
    "servers.organization_deletion": {"delete_organization"},
    "servers.invitations": {"invite", "withdraw", "accept", "join", "decline"},
    "servers.people": {"add_person", "enter", "remove_person"},
    "servers.permalinks": {"release"},
    "servers.pool_addresses": {"add_pasted"},
    "servers.pool_rules": {"create_rule", "delete_rule"},
    "servers.pools": {"create_pool", "create_platform_pool", "delete_pool"},
    # It makes an account at the first sign-in. The second time nothing changes: tests/panel/test_single_sign_on.py.
    "servers.provided_roles": {"admit"},
    "servers.provisioning": {"create_organization", "delete_server", "restore_server"},
    "servers.rotation": {"rotate"},
    "servers.routes": {"create_route", "delete_route"},
    "servers.send_limits": {"begin", "end"},
    "servers.webhooks": {"create_webhook", "delete_webhook"},
    "alerts.channels": {"create_channel", "delete_channel", "send_test"},
    # Of what it confirms again nothing is written: tests/alerts/test_confirming.py.
    "alerts.confirming": {"request_again", "confirm"},
    # They return whether they changed something; tests/alerts/test_reports.py.
    "alerts.reports": {"stop_reports", "resume_reports"},
    "stats.intake.event_sources": {"make_source", "rotate_source", "unmap_text"},
    "stats.intake.reply_rules": {"create_rule", "delete_rule"},
    "stats.intake.tokens": {"make_ingest_token"},
    "stats.programs": {"end", "extend"},
    "suppressions.acts": {"suppress", "remove", "remove_one"},
    "suppressions.suppression_file": {"import_rows"},
    "webhooks.deliveries": {"send_again"},
    "webhooks.signing": {"rotate_key"},
    "nodes.address_file": {"import_rows"},
    "nodes.nodes": {"create_node", "rotate_key", "delete_node"},
    "nodes.publishing": {"publish", "roll_back"},
}  # fmt: skip
APPS = (
    "core", "dnschecks", "throttling", "ippools", "servers", "suppressions", "webhooks", "stats", "nodes", "alerts",
)  # fmt: skip
# What acts are made with.
TOOLS = {"core.acts.save_change", "core.audit.record", "core.audit.record_creations", "servers.access.is_platforms"}
# DNS is asked between two transactions, or the transaction begins after a lock that is not the database's.
IN_PARTS = {
    "ippools.addresses.create_one",
    "servers.domain_checks.check_domain",
    "servers.domain_checks.record_verification",
    "servers.domains.create_domain",
    "servers.domains.verify_domain",
    # Roles that were taken away stay away though the sign-in is refused.
    "servers.provided_roles.admit",
    "servers.send_limits.begin",
    "servers.send_limits.end",
    "stats.programs.end",
    "stats.programs.extend",
    "nodes.publishing.publish",
    "nodes.publishing.roll_back",
}


def same_overrides(routing):
    fields = routing_rules.fields_of(routing.document())
    pk = routing.domain_overrides.get().pk
    return {**fields, "domain_overrides": [{**each, "id": pk} for each in fields["domain_overrides"]]}


def acts():
    """Return every function with a parameter `actor` by its whole name, as the product's modules have it."""
    found = {}
    for app in APPS:
        for info in pkgutil.walk_packages(importlib.import_module(app).__path__, f"{app}."):
            if {"migrations", "management", "models"} & set(info.name.split(".")):
                continue
            for name, value in vars(importlib.import_module(info.name)).items():
                is_ours = inspect.isfunction(value) and value.__module__ == info.name and not name.startswith("_")
                if is_ours and "actor" in inspect.signature(value).parameters:
                    found[f"{info.name}.{name}"] = value
    return found


def test_every_act_stands_in_a_table():
    writes = {f"{module}.{name}" for module, names in WRITES.items() for name in names}
    assert not writes & UNCHANGED.keys()
    assert writes | UNCHANGED.keys() | TOOLS == acts().keys()


def test_every_act_is_one_transaction():
    plain = {name for name, act in acts().items() if not hasattr(act, "__wrapped__")}
    assert plain == IN_PARTS | TOOLS


@pytest.mark.parametrize("act", UNCHANGED)
def test_nothing_is_written(world, act):
    entries = AuditEntry.objects.count()
    with CaptureQueriesContext(connection) as captured:
        UNCHANGED[act](world)
    written = [query["sql"] for query in captured if query["sql"].startswith(("UPDATE", "INSERT", "DELETE"))]
    assert written == []
    assert AuditEntry.objects.count() == entries
