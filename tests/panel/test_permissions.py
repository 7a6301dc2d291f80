"""Who gets what: every address of the panel, found in the URL configuration, for every kind of person.

Rules, not a table of answers: a new page is held to them by being there. Another tenant's records are as if they did not
exist, an analyst changes nothing, and what is the platform's is nobody else's.
"""

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.test import RequestFactory
from django.urls import reverse

from core.models import AuditEntry, User
from panel.error_pages import PanelErrorPages
from servers.models import Invitation
from servers.provisioning import create_server
from tests.panel.conftest import HELD_UNTIL, NOW, PASSWORD, SYSTEM, make_person, sign_in
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
    "webhooks.delivery",
    "suppressions.suppression",
    "alerts.alert",
    "alerts.channel",
    "servers.route",
    "servers.ippoolrule",
    "servers.membership",
    "servers.invitation",
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
        "webhooks.delivery": tenant.delivery,
        "suppressions.suppression": tenant.suppression,
        "alerts.alert": tenant.alert,
        "alerts.channel": tenant.channel,
        "servers.route": tenant.route,
        "servers.ippoolrule": tenant.rule,
        "servers.membership": membership,
        "servers.invitation": tenant.invitation,
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
        "alerts.alert": platform.alert,
        "alerts.channel": platform.channel,
    }
    for model in admin.site._registry:
        label = model._meta.label_lower
        if label not in found and label not in TENANT_MODELS:
            found[label] = model._default_manager.order_by("pk").first()
    return found


def url(place, record=None):
    assert record is not None or not place.has_record, f"make a {place.model} in `platform` of tests/panel/conftest.py"
    return reverse(f"admin:{place.name}", args=[record.pk] if place.has_record else [])


def is_as_if_unknown(response):
    """Whether the answer is the one for a record that does not exist: a way back to the start, a 404, or a refusal."""
    if response.status_code == 302:
        return response.headers["Location"] == reverse("admin:index")
    return response.status_code in (403, 404)


@pytest.fixture
def bare_refusals(monkeypatch):
    """Without the sidebar around a refusal, whose rendering takes most of the time of a refused request."""
    monkeypatch.setattr(PanelErrorPages, "_panel_page", lambda *_: None)


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
    User.objects.filter(username="customer").update(is_staff=False)
    for place in PLACES:
        response = client.get(url(place, acme.server))
        assert (response.status_code, response.headers.get("Location", "")[:13]) == (302, "/admin/login/"), place


@pytest.mark.usefixtures("bare_refusals")
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


@pytest.mark.usefixtures("bare_refusals")
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


@pytest.mark.usefixtures("bare_refusals")
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
OPEN_TO_ANALYSTS = {
    "ippools_ipaddress_limits",
    "servers_organization_usage",
    "servers_organization_days",
    "servers_domain_zone",
}


HISTORIES = {model._meta.label_lower: page.has_history for model, page in admin.site._registry.items()}


@pytest.mark.parametrize("role", ["owner", "operator"])
def test_owners_and_operators_open_what_is_theirs(role, acme, platform):
    client = sign_in(getattr(acme, role))
    records = records_of(acme)
    for place in PLACES:
        if place.model in records and place.name.endswith(("_changelist", "_change", "_history")):
            # What tells of other records has no history of its own, for anybody.
            is_there = HISTORIES[place.model] or not place.name.endswith("_history")
            assert client.get(url(place, records[place.model])).status_code == (200 if is_there else 404), place
    assert client.get(reverse("admin:servers_server_add")).status_code == 200
    invites = client.get(reverse("admin:servers_invitation_add")).status_code == 200
    assert invites == (role == "owner")
    assert client.get(reverse("admin:servers_membership_add")).status_code == 403


def test_lists_and_look_ups_hold_only_what_is_theirs(acme, globex, platform):
    client = sign_in(acme.operator)
    for model in admin.site._registry:
        label = model._meta.label_lower
        if label not in TENANT_MODELS:
            continue
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        content = client.get(reverse(f"{name}_changelist"), {"all": ""}).content.decode()
        assert "globex" not in content.lower(), label
    # The page has the words that were searched for in its field, and finds nothing.
    assert client.get(reverse("admin:search"), {"s": "globex"}).context["results"] == []


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


def autocompletes():
    """Return every look-up of every page, as (model, field): a field joins by being declared."""
    return sorted(
        (model._meta.label_lower, field)
        for model, page in admin.site._registry.items()
        for field in page.autocomplete_fields
    )


@pytest.mark.parametrize(("label", "field"), autocompletes())
def test_no_autocomplete_tells_of_others(label, field, acme, globex, platform):
    app, model = label.split(".")
    asked = {"app_label": app, "model_name": model, "field_name": field, "term": ""}
    for who in ("owner", "operator", "analyst"):
        for term in ("", "globex", "198.51.100"):
            response = sign_in(getattr(acme, who)).get(reverse("admin:autocomplete"), {**asked, "term": term})
            assert response.status_code in (200, 403)
            assert b"globex" not in response.content.lower()
            assert b"198.51.100.1" not in response.content
    everything = sign_in(platform.superuser).get(reverse("admin:autocomplete"), asked).json()["results"]
    assert everything, "nothing is there to be told of"


def test_no_filter_tells_of_others(acme, globex, platform):
    client = sign_in(acme.owner)
    records = records_of(globex)
    foreign = {
        "pools": globex.pool.pk,
        "template": platform.template.pk,
        "server": globex.server.pk,
        "organization": globex.organization.pk,
        "user": globex.owner.pk,
        "pool": globex.pool.pk,
        "domain": globex.domain.pk,
    }
    for label in records:
        name = f"admin:{label.replace('.', '_')}_changelist"
        for field, pk in foreign.items():
            response = client.get(reverse(name), {f"{field}__id__exact": pk})
            assert response.status_code in (200, 302, 400), (label, field)
            assert b"lobex" not in response.content, (label, field)
            if response.status_code == 200:
                assert list(response.context["cl"].result_list) == [], (label, field)


def test_an_address_in_pools_of_others_does_not_tell_so(acme, globex, platform):
    from servers.pools import add_members, grant_pool

    add_members(pool=globex.pool, addresses=[acme.address], actor=SYSTEM, organization_id=globex.organization.pk)
    listing = reverse("admin:ippools_ipaddress_changelist")
    client = sign_in(acme.owner)
    [shown] = client.get(listing).context["cl"].result_list
    assert shown.memberships_total == 1
    assert list(client.get(listing, {"pools__id__exact": globex.pool.pk}).context["cl"].result_list) == []
    assert (
        sign_in(platform.superuser)
        .get(listing, {"q": acme.address.ipv4})
        .context["cl"]
        .result_list[0]
        .memberships_total
        == 2
    )
    # Nor does a pool of the platform's tell who else uses it.
    for tenant in (acme, globex):
        grant_pool(organization=tenant.organization, pool=platform.pool, actor=SYSTEM)
        create_server(organization=tenant.organization, name="By the shared", pool=platform.pool, actor=SYSTEM)
    pools = client.get(reverse("admin:ippools_ippool_changelist")).context["cl"]
    [shared] = [each for each in pools.result_list if each.pk == platform.pool.pk]
    assert shared.server_total == 1
    assert "grant_count" not in pools.list_display
    page = client.get(reverse("admin:ippools_ippool_change", args=[platform.pool.pk]))
    assert (page.context["server_total"], b"lobex" in page.content) == (1, False)


def test_staff_take_over_no_account_that_may_more_than_they(acme, platform):
    other = make_person("clerk")
    other.user_permissions.set(Permission.objects.filter(codename__in=["platform", "view_user", "change_user"]))
    client, word = (
        sign_in(other),
        {"_form_submitted": "on", "password": "another long one", "again": "another long one"},
    )
    above = reverse("admin:core_user_give_password", args=[platform.staff.pk])
    assert client.post(above, word).status_code == 403
    assert client.post(reverse("admin:core_user_change", args=[platform.staff.pk]), {}).status_code == 403
    platform.staff.refresh_from_db()
    assert platform.staff.check_password(PASSWORD)
    # An owner has a role that the clerk has not, and a program's account may use an API that the clerk may not.
    program = make_person("program", api_level="read_only")
    for user in (acme.owner, acme.analyst, program):
        assert client.post(reverse("admin:core_user_give_password", args=[user.pk]), word).status_code == 403, user
        assert client.post(reverse("admin:core_user_change", args=[user.pk]), {}).status_code == 403, user
    # Who has only to accept a role has it as good as given.
    invited, idle = make_person("Acme-friend"), make_person("Acme-idle")
    User.objects.filter(pk__in=[invited.pk, idle.pk]).update(date_joined=NOW, is_active=True)
    Invitation.objects.create(
        organization=acme.organization, role="owner", username="Acme-idle", created_at=NOW, expires_at=HELD_UNTIL
    )
    for user in (invited, idle):
        assert client.post(reverse("admin:core_user_give_password", args=[user.pk]), word).status_code == 403, user
        assert client.post(reverse("admin:core_user_change", args=[user.pk]), {}).status_code == 403, user
    # Who may no more than the clerk is theirs to help.
    trainee = make_person("trainee")
    assert client.post(reverse("admin:core_user_give_password", args=[trainee.pk]), word).status_code == 302


@pytest.mark.parametrize("whom", ["clerk", "trainee"])
def test_staff_give_nobody_rights_themselves_included(whom, platform):
    clerk = make_person("clerk")
    clerk.user_permissions.set(
        Permission.objects.filter(codename__in=["platform", "view_user", "change_user", "add_user"])
    )
    user = clerk if whom == "clerk" else make_person("trainee")
    client = sign_in(clerk)
    form = {
        "username": whom,
        "first_name": "Known",
        "last_name": "",
        "email": "",
        "time_zone": "UTC",
        "is_active": "on",
        "is_staff": "on",
        "is_superuser": "on",
        "api_level": "yes",
        "user_permissions": [each.pk for each in Permission.objects.all()[:5]],
    }
    assert client.post(reverse("admin:core_user_change", args=[user.pk]), form).status_code == 302
    user.refresh_from_db()
    assert (user.first_name, user.is_superuser, user.api_level) == ("Known", False, "no")
    assert user.user_permissions.count() == (4 if whom == "clerk" else 0)
    made = {**form, "username": "made", "password": "a long enough password"}
    assert client.post(reverse("admin:core_user_add"), made).status_code == 302
    new = User.objects.get(username="made")
    assert (new.is_superuser, new.api_level, new.user_permissions.count()) == (False, "no", 0)


def test_no_search_tells_an_e_mail_address(acme, platform):
    User.objects.filter(pk=acme.analyst.pk).update(email="ana@secret.example")
    listing = reverse("admin:servers_membership_changelist")
    shown = sign_in(acme.owner).get(listing, {"q": "ana@s"}).context["cl"].result_list
    assert list(shown) == []
    assert [
        each.user for each in sign_in(platform.superuser).get(listing, {"q": "ana@s"}).context["cl"].result_list
    ] == [acme.analyst]
    # Nor any other page, nor any look-up of choices.
    for page in admin.site._registry.values():
        request = RequestFactory().get("/")
        request.user = acme.owner
        request.user.is_verified = lambda: True
        assert [name for name in page.get_search_fields(request) if "email" in name or "password" in name] == []
