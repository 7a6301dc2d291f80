"""A record's history: who changed what, two states side by side, and the way back by the same act."""

from django.urls import reverse

from core.models import AuditEntry
from ippools import ip_addresses
from servers.provisioning import change_server
from tests.panel.conftest import SYSTEM, sign_in
from throttling import rule_sets, templates


def url(record, page="history"):
    return reverse(f"admin:{record._meta.app_label}_{record._meta.model_name}_{page}", args=[record.pk])


def test_it_tells_what_changed_and_compares(acme, platform):
    change_server(server=acme.server, name="Renamed", actor=SYSTEM)
    change_server(server=acme.server, mode="development", actor=SYSTEM)
    client = sign_in(acme.analyst)
    context = client.get(url(acme.server)).context
    acts = [version.entry.act for version in context["versions"]]
    assert acts == ["server.changed", "server.changed", "server.created"]
    assert [(each.field, each.before, each.after) for each in context["versions"][1].differences] == [
        ("name", "Acme server", "Renamed")
    ]
    oldest, newest = context["versions"][2].entry.pk, context["versions"][0].entry.pk
    comparison = client.get(url(acme.server), {"older": oldest, "newer": newest}).context["comparison"]
    assert {each.field for each in comparison["differences"]} == {"name", "mode"}
    assert client.get(url(acme.server), {"older": "x", "newer": "9" * 40}).context["comparison"] is None


def test_restoring_is_a_change_like_any_other(acme, platform):
    change_server(server=acme.server, name="Renamed", mode="development", actor=SYSTEM)
    first = AuditEntry.objects.get(act="server.created", target_id=str(acme.server.pk))
    assert sign_in(acme.analyst).post(url(acme.server), {"entry": first.pk}).status_code == 403
    response = sign_in(acme.operator).post(url(acme.server), {"entry": first.pk})
    assert response.status_code == 302
    acme.server.refresh_from_db()
    assert (acme.server.name, acme.server.mode) == ("Acme server", "live")
    entry = AuditEntry.objects.latest("pk")
    assert (entry.act, entry.actor_label, entry.before["name"]) == ("server.changed", "Acme-operator", "Renamed")


def test_restoring_what_the_act_refuses_changes_nothing(acme, platform):
    from servers.provisioning import create_server

    first = AuditEntry.objects.get(act="server.created", target_id=str(acme.server.pk))
    change_server(server=acme.server, name="Renamed", actor=SYSTEM)
    create_server(organization=acme.organization, name="Acme server", actor=SYSTEM)
    page = sign_in(acme.owner).post(url(acme.server), {"entry": first.pk}, follow=True)
    assert "Not restored. Name has already been taken" in page.content.decode()
    acme.server.refresh_from_db()
    assert acme.server.name == "Renamed"


def test_rules_come_back_whole(platform, root):
    template = platform.template
    created = AuditEntry.objects.get(act="throttling_template.created", target_id=str(template.pk))
    templates.update(template.pk, {"name": "Changed", "rules": []}, actor=SYSTEM, replaces_rules=True)
    assert root.post(url(template), {"entry": created.pk}).status_code == 302
    template.refresh_from_db()
    [rule] = rule_sets.document(template.rules)["rules"]
    assert (template.name, rule["domains"], rule["max_messages_per_hour"]) == ("Careful", ["mail.example"], 50)


def test_an_entry_of_another_record_is_no_way_back(acme, globex, platform):
    foreign = AuditEntry.objects.get(act="server.created", target_id=str(globex.server.pk))
    page = sign_in(acme.owner).post(url(acme.server), {"entry": foreign.pk}, follow=True)
    assert "There is no such version" in page.content.decode()


def test_tenants_read_of_a_shared_address_only_what_is_theirs(acme, globex, platform):
    from servers.pools import add_members

    add_members(pool=globex.pool, addresses=[acme.address], actor=SYSTEM, organization_id=globex.organization.pk)
    ip_addresses.update(acme.address.pk, {"delivery_paused": True}, actor=SYSTEM)
    assert [each.entry.act for each in sign_in(acme.owner).get(url(acme.address)).context["versions"]] == [
        "ip_address.created"
    ]
    assert sign_in(globex.owner).get(url(acme.address)).context["versions"] == []
