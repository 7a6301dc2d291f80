"""Who gets what: every address of the panel, found in the URL configuration, for every kind of person.

Rules, not a table of answers: a new page is held to them by being there. Another tenant's records are as if they did not
exist, an analyst changes nothing, and what is the platform's is nobody else's.
"""

import pytest
from django.contrib import admin
from django.urls import reverse

from core.models import AuditEntry
from tests.panel.conftest import make_person, sign_in
from tests.panel.urls import addresses

PLACES = [place for place in addresses() if place.model]
OF_RECORDS = [place for place in PLACES if place.has_record]
# What an organization's people have pages for; all else is the platform's.
TENANT_MODELS = {
    "servers.organization",
    "servers.server",
    "servers.credential",
    "servers.domain",
    "servers.webhook",
    "servers.route",
    "servers.ippoolrule",
    "servers.membership",
    "servers.organizationpool",
    "ippools.ippool",
    "ippools.ipaddress",
    "core.auditentry",
    "core.job",
}
# Dialogs that even a look at needs the right to act.
READ_PAGES = ("_change", "_history")


def records_of(tenant):
    """Return one record of each tenant's kind."""
    membership = tenant.organization.memberships.get(user=tenant.analyst)
    return {
        "servers.organization": tenant.organization,
        "servers.server": tenant.server,
        "servers.credential": tenant.credential,
        "servers.domain": tenant.domain,
        "servers.webhook": tenant.webhook,
        "servers.route": tenant.route,
        "servers.ippoolrule": tenant.rule,
        "servers.membership": membership,
        "servers.organizationpool": tenant.organization.organization_pools.get(pool=tenant.pool),
        "ippools.ippool": tenant.pool,
        "ippools.ipaddress": tenant.address,
        "core.auditentry": AuditEntry.objects.filter(organization_id=tenant.organization.pk).first(),
    }


def platform_records(platform):
    found = {
        "throttling.throttlingtemplate": platform.template,
        "throttling.throttleprogram": platform.program,
        "ippools.relayserver": platform.relay,
        "ippools.routingrule": platform.routing_rule,
        "ippools.ippool": platform.pool,
        "ippools.ipaddress": platform.address,
        "core.user": platform.superuser,
    }
    for model in admin.site._registry:
        label = model._meta.label_lower
        if label not in found and label not in TENANT_MODELS:
            found[label] = model._default_manager.order_by("pk").first()
    return found


def url(place, record=None):
    return reverse(f"admin:{place.name}", args=[record.pk] if place.has_record else [])


def is_as_if_unknown(response):
    """Whether the answer is the one for a record that does not exist: a way back to the start, a 404, or a refusal."""
    if response.status_code == 302:
        return response.headers["Location"] == reverse("admin:index")
    return response.status_code in (403, 404)


def test_nobody_gets_anything_without_signing_in(acme, globex, platform):
    client = sign_in(None)
    records = records_of(acme) | platform_records(platform)
    for place in PLACES:
        for answer in (client.get, client.post):
            record = records.get(place.model) or records["servers.server"]
            response = answer(url(place, record))
            assert (response.status_code, response.headers.get("Location", "")[:13]) == (302, "/admin/login/"), place


def test_somebody_who_is_no_staff_gets_nothing(acme, platform):
    client = sign_in(make_person("customer"))
    from core.models import User

    User.objects.filter(username="customer").update(is_staff=False)
    for place in PLACES:
        response = client.get(url(place, acme.server))
        assert (response.status_code, response.headers.get("Location", "")[:13]) == (302, "/admin/login/"), place


@pytest.mark.parametrize("role", ["owner", "operator", "analyst"])
def test_another_tenants_records_are_as_if_they_did_not_exist(role, acme, globex, platform):
    client = sign_in(getattr(globex, role))
    records = records_of(acme)
    audited = AuditEntry.objects.count()
    seen = [
        place.name
        for place in OF_RECORDS
        if place.model in records
        for answer in (client.get, client.post)
        if not is_as_if_unknown(answer(url(place, records[place.model])))
    ]
    assert seen == []
    assert AuditEntry.objects.count() == audited


@pytest.mark.parametrize("role", ["owner", "operator", "analyst"])
def test_the_platforms_records_are_nobody_elses(role, acme, platform):
    client = sign_in(getattr(acme, role))
    records = platform_records(platform)
    closed = [
        place for place in PLACES if place.model not in TENANT_MODELS or (place.has_record and place.model in records)
    ]
    seen = [
        place.name
        for place in closed
        for answer in (client.get, client.post)
        if not is_as_if_unknown(answer(url(place, records.get(place.model))))
    ]
    assert seen == []


def test_an_analyst_reads_and_changes_nothing(acme, platform):
    client = sign_in(acme.analyst)
    records = records_of(acme)
    audited = AuditEntry.objects.count()
    for place in PLACES:
        if place.model not in records:
            continue
        record = records[place.model]
        reads = place.name.endswith("_changelist") or place.name.endswith(READ_PAGES)
        response = client.get(url(place, record))
        if place.name.endswith(("_changelist", "_change")):
            assert response.status_code == 200, place
        elif not reads and getattr(place, "has_record", False) and response.status_code not in (302, 403, 404):
            assert place.name in OPEN_TO_ANALYSTS, place
        assert client.post(url(place, record), {"_form_submitted": "on", "post": "yes"}).status_code != 500, place
    assert AuditEntry.objects.count() == audited


# Pages besides lists, records and histories that change nothing.
OPEN_TO_ANALYSTS = {"ippools_ipaddress_limits", "servers_organization_usage", "servers_domain_zone"}


@pytest.mark.parametrize("role", ["owner", "operator"])
def test_owners_and_operators_open_what_is_theirs(role, acme, platform):
    client = sign_in(getattr(acme, role))
    records = records_of(acme)
    for place in PLACES:
        if place.model in records and place.name.endswith(("_changelist", "_change", "_history")):
            assert client.get(url(place, records[place.model])).status_code in (200, 302), place
    assert client.get(reverse("admin:servers_server_add")).status_code == 200
    adds_people = client.get(reverse("admin:servers_membership_add")).status_code == 200
    assert adds_people == (role == "owner")


def test_lists_and_look_ups_hold_only_what_is_theirs(acme, globex, platform):
    client = sign_in(acme.operator)
    for model in admin.site._registry:
        label = model._meta.label_lower
        if label not in TENANT_MODELS:
            continue
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        content = client.get(reverse(f"{name}_changelist"), {"all": ""}).content.decode()
        assert "globex" not in content.lower(), label
    assert b"globex" not in client.get(reverse("admin:search"), {"s": "globex"}).content.lower()


@pytest.mark.parametrize(
    ("app", "model", "field"),
    [
        ("servers", "server", "organization"),
        ("servers", "server", "ip_pool"),
        ("servers", "credential", "server"),
        ("servers", "webhook", "server"),
        ("servers", "route", "domain"),
        ("servers", "membership", "organization"),
    ],
)
def test_autocompletes_hold_only_what_is_theirs(app, model, field, acme, globex, platform):
    asked = {"app_label": app, "model_name": model, "field_name": field, "term": ""}
    found = sign_in(acme.owner).get(reverse("admin:autocomplete"), asked).json()["results"]
    assert found
    assert [each for each in found if "globex" in each["text"].lower()] == []
    assert len(sign_in(platform.superuser).get(reverse("admin:autocomplete"), asked).json()["results"]) > len(found)


def test_the_platforms_staff_do_what_their_permissions_say(acme, globex, platform):
    client = sign_in(platform.staff)
    assert client.get(reverse("admin:servers_server_change", args=[acme.server.pk])).status_code == 200
    assert client.get(reverse("admin:servers_server_delete", args=[acme.server.pk])).status_code == 403
    # Who may change accounts does not get at one that may do everything.
    assert client.post(reverse("admin:core_user_give_password", args=[platform.superuser.pk])).status_code == 403
    assert client.get(reverse("admin:core_user_change", args=[platform.superuser.pk])).status_code == 200
    assert b"is_superuser" not in client.get(reverse("admin:core_user_change", args=[acme.owner.pk])).content


def test_a_foreign_id_in_a_form_is_no_choice(acme, globex, platform):
    client = sign_in(acme.operator)
    response = client.post(
        reverse("admin:servers_credential_add"),
        {"server": globex.server.pk, "kind": "api", "name": "mine"},
    )
    assert response.status_code == 200
    assert "server" in response.context["adminform"].form.errors
    assert not globex.server.credentials.filter(name="mine").exists()
