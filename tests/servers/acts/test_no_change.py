"""An act that changes nothing writes nothing: no UPDATE, no entry in the audit trail."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from core.models import AuditEntry, User
from core.users import change_user
from servers import credentials, domains, people, pool_rules, pools, provisioning, routes, webhooks
from servers.models import Membership
from tests.cast import ANN, NOW, SYSTEM, make_pool

pytestmark = [pytest.mark.django_db, pytest.mark.storage]


@pytest.fixture
def world(acme):
    """One record of each kind, with the values that the acts below give again."""
    pool = make_pool(acme.organization, "Main", "192.0.2.1")
    provisioning.change_server(server=acme.server, ip_pool=pool, send_limit=5, actor=SYSTEM)
    user = User.objects.create(username="ann", is_staff=True)
    return {
        "acme": acme,
        "pool": pool,
        "user": user,
        "membership": Membership.objects.create(user=user, organization=acme.organization, role="owner"),
        "credential": acme.server.credentials.get(kind="api"),
        "domain": domains.create_domain(server=acme.server, name="acme.example", at=NOW, actor=SYSTEM).domain,
        "webhook": webhooks.create_webhook(server=acme.server, name="Hook", url="https://acme.example/", actor=SYSTEM),
        "route": routes.create_route(server=acme.server, name="*", mode="accept", actor=SYSTEM),
        "rule": pool_rules.create_rule(owner=acme.server, pool=pool, from_conditions=["a.example"], actor=SYSTEM),
    }


ACTS = {
    "change_organization": lambda w: provisioning.change_organization(
        organization=w["acme"].organization, name=f" {w['acme'].organization.name} ", time_zone="UTC", actor=ANN
    ),
    "resume_organization": lambda w: provisioning.resume_organization(organization=w["acme"].organization, actor=ANN),
    "change_server": lambda w: provisioning.change_server(
        server=w["acme"].server, name=w["acme"].server.name, mode="live", ip_pool=w["pool"], send_limit=5, actor=ANN
    ),
    "resume_server": lambda w: provisioning.resume_server(server=w["acme"].server, actor=ANN),
    "change_credential": lambda w: credentials.change_credential(
        credential=w["credential"], name=w["credential"].name, can_manage_organization=True, expires_at=None, actor=ANN
    ),
    "release_credential": lambda w: credentials.release_credential(credential=w["credential"], actor=ANN),
    "change_domain": lambda w: domains.change_domain(domain=w["domain"], dmarc_record="", outgoing=True, actor=ANN),
    "change_webhook": lambda w: webhooks.change_webhook(webhook=w["webhook"], name="Hook", enabled=True, actor=ANN),
    "change_route": lambda w: routes.change_route(route=w["route"], name="*", mode="accept", actor=ANN),
    "change_rule": lambda w: pool_rules.change_rule(rule=w["rule"], from_conditions=["A.example"], actor=ANN),
    "order_rules": lambda w: pool_rules.order_rules(owner=w["acme"].server, ids=[w["rule"].pk], actor=ANN),
    "change_pool": lambda w: pools.change_pool(pool=w["pool"], name="Main", is_default=False, actor=ANN),
    "grant_pool": lambda w: pools.grant_pool(organization=w["acme"].organization, pool=w["pool"], actor=ANN),
    "add_members": lambda w: pools.add_members(pool=w["pool"], addresses=list(w["pool"].addresses.all()), actor=ANN),
    "change_role": lambda w: people.change_role(membership=w["membership"], role="owner", actor=ANN),
    "change_user": lambda w: change_user(user=w["user"], username="ann", is_staff=True, groups=[], actor=ANN),
}


@pytest.mark.parametrize("act", ACTS)
def test_nothing_is_written(world, act):
    with CaptureQueriesContext(connection) as captured:
        ACTS[act](world)
    written = [query["sql"] for query in captured if query["sql"].startswith(("UPDATE", "INSERT", "DELETE"))]
    assert written == []
    assert not AuditEntry.objects.filter(actor_label=ANN.label).exists()
