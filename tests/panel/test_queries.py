"""No page makes more than twenty queries, and none makes more because there are more rows."""

import pytest
from django.apps import apps
from django.contrib import admin
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from core.models import AuditEntry
from ippools import ip_addresses
from ippools.addresses import NewAddress, create_many
from servers.credentials import create_credential
from servers.models import Domain, Membership
from servers.pools import add_members, create_pool
from servers.provisioning import create_server
from servers.webhooks import create_webhook
from tests.panel.conftest import SYSTEM, make_person, sign_in
from throttling import templates

MOST = 20
LABELS = sorted(model._meta.label_lower for model in admin.site._registry)


def grow(tenant, platform):
    """Give everything that a page could list twelve more rows."""
    server, organization = tenant.server, tenant.organization
    rows = [NewAddress(ipv4=f"10.9.0.{n + 1}", hostname="h.example.com") for n in range(12)]
    addresses = create_many(rows, actor=SYSTEM)
    add_members(pool=tenant.pool, addresses=addresses, actor=SYSTEM, organization_id=organization.pk)
    for n in range(12):
        create_server(organization=organization, name=f"More {n}", pool=tenant.pool, actor=SYSTEM)
        create_credential(server=server, kind="smtp", name=f"More {n}", actor=SYSTEM)
        create_webhook(server=server, name=f"More {n}", url="https://hook.example/", actor=SYSTEM)
        create_pool(organization=organization, name=f"More {n}", ips=[], actor=SYSTEM)
        Domain.objects.create(server=server, name=f"more{n}.example", dkim_public_key="p")
        Membership.objects.create(user=make_person(f"more{n}"), organization=organization, role="analyst")
        rule = {"domains": [f"m{n}.example"], "max_concurrent_connections": 1, "max_messages_per_hour": 1}
        for address in (tenant.address, platform.address):
            ip_addresses.update(address.pk, {"rules_new": [rule]}, actor=SYSTEM)
        templates.update(platform.template.pk, {"rules_new": [rule]}, actor=SYSTEM)
        ip_addresses.update(addresses[n].pk, {"throttling_template": {"name": "Careful"}}, actor=SYSTEM)


def pages_of(label, record_id):
    name = f"admin:{label.replace('.', '_')}"
    yield reverse(f"{name}_changelist")
    yield reverse(f"{name}_change", args=[record_id])
    yield reverse(f"{name}_history", args=[record_id])


def queries_of(client, url):
    with CaptureQueriesContext(connection) as queries:
        client.get(url)
    return [each["sql"] for each in queries]


@pytest.mark.parametrize("who", ["superuser", "owner"])
def test_pages_make_few_queries_however_many_rows_there_are(who, acme, platform):
    client = sign_in(platform.superuser if who == "superuser" else acme.owner)
    first = {label: apps.get_model(label)._default_manager.order_by("pk").first() for label in LABELS}
    first["servers.server"], first["ippools.ippool"] = acme.server, acme.pool
    # The record itself is looked at, and what hangs on it grows.
    urls = [url for label in LABELS for url in pages_of(label, first[label].pk)]
    urls.append(reverse("admin:search") + "?s=more")
    few = {url: len(queries_of(client, url)) for url in urls}
    grow(acme, platform)
    many = {url: queries_of(client, url) for url in urls}
    assert {url: len(found) for url, found in many.items() if len(found) > MOST} == {}
    # An empty list saves a query or two that the first row brings; twelve more bring none.
    grown = {url: (few[url], len(found)) for url, found in many.items() if len(found) > few[url] + 2}
    assert grown == {}
    assert AuditEntry.objects.count() > 100
