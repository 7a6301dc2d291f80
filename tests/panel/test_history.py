"""A record's history: who changed what, two states side by side, and the way back by the same act."""

import zoneinfo

from django.urls import reverse

from core.audit import record
from core.models import AuditEntry
from ippools import ip_addresses
from servers.pools import create_pool
from servers.provisioning import change_server, suspend_server
from tests.panel.conftest import NOW, SYSTEM, sign_in
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


def test_records_are_named_and_times_are_the_viewers(acme, globex, platform):
    other = create_pool(organization=acme.organization, name="Other pool", ips=[], actor=SYSTEM).pool
    change_server(server=acme.server, ip_pool=other, actor=SYSTEM)
    suspend_server(server=acme.server, reason="Spam", at=NOW, actor=SYSTEM)
    acme.owner.time_zone = "Asia/Tokyo"
    acme.owner.save()
    suspended, changed, created = sign_in(acme.owner).get(url(acme.server)).context["versions"]
    assert [(each.field, each.before, each.after) for each in changed.differences] == [
        ("IP pool", "Acme pool", "Other pool")
    ]
    assert [(each.field, each.before, each.after) for each in suspended.differences] == [
        ("suspended at", "—", "18 Nov 2026, 19:30"),
        ("suspension reason", "—", "Spam"),
    ]
    first = {each.field: (each.before, each.after) for each in created.differences}
    assert (first["organization"], first["IP pool"]) == ((None, "Acme"), (None, "Acme pool"))
    assert "suspended until" not in first


def test_a_record_of_others_is_not_named(acme, globex, platform):
    """The trail may hold the id of a record that was shared once, or is another tenant's now."""
    for pool in (globex.pool, platform.pool):
        state = {"name": "x", "ip_pool_id": pool.pk}
        record(
            actor=SYSTEM, act="server.changed", target=acme.server, after=state, organization_id=acme.organization.pk
        )
    entry = AuditEntry.objects.latest("pk")
    for page in (url(acme.server), reverse("admin:core_auditentry_change", args=[entry.pk])):
        assert "lobex" not in sign_in(acme.owner).get(page).content.decode()
    newest = sign_in(acme.owner).get(url(acme.server)).context["versions"][0]
    assert [(each.field, each.after) for each in newest.differences] == [("name", "x"), ("IP pool", f"no. {pool.pk}")]
    assert "Globex pool" in sign_in(platform.superuser).get(url(acme.server)).content.decode()


def test_documents_name_what_is_inside_them(platform, root):
    rule = {"domains": ["a.example"], "max_concurrent_connections": 1, "max_messages_per_hour": 2}
    rule["throttle_program"] = {"id": platform.program.pk}
    ip_addresses.update(platform.address.pk, {"rules_new": [rule]}, actor=SYSTEM)
    page = root.get(url(platform.address)).content.decode()
    assert "program: Slow down" in page
    assert "Careful" in page
    assert "VirtualMTA: spare" in root.get(url(platform.routing_rule)).content.decode()


def test_an_entry_of_the_trail_names_them_too(acme, platform):
    entry = AuditEntry.objects.get(act="server.created", target_id=str(acme.server.pk))
    page = sign_in(acme.analyst).get(reverse("admin:core_auditentry_change", args=[entry.pk]))
    found = {each.field: each.after for each in page.context["differences"]}
    assert (found["organization"], found["IP pool"], found["mode"]) == ("Acme", "Acme pool", "Live")
    gone = AuditEntry.objects.create(
        actor_kind="system", actor_label="x", act="y.z", target_type="no.model", target_id="1", target_label="it",
        organization_id=acme.organization.pk, after={"thing_id": 4, "at": "2026-02-30T00:00:00+00:00"},
    )  # fmt: skip
    page = sign_in(acme.analyst).get(reverse("admin:core_auditentry_change", args=[gone.pk]))
    found = {each.field: each.after for each in page.context["differences"]}
    assert found == {"thing id": "4", "at": "2026-02-30T00:00:00+00:00"}


def test_an_entry_of_the_trail_tells_the_readers_own_time_to_the_second(acme):
    acme.analyst.time_zone = "Asia/Tokyo"
    acme.analyst.save()
    entry = AuditEntry.objects.get(act="server.created", target_id=str(acme.server.pk))
    page = sign_in(acme.analyst).get(reverse("admin:core_auditentry_change", args=[entry.pk])).content.decode()
    there = entry.at.astimezone(zoneinfo.ZoneInfo("Asia/Tokyo"))
    assert f"{there.day} {there:%b %Y, %H:%M:%S}" in page
    assert str(entry.at) not in page


def test_nothing_to_compare_is_not_offered(acme, platform):
    assert b"Compare the two" not in sign_in(acme.owner).get(url(acme.server)).content
    change_server(server=acme.server, name="Renamed", actor=SYSTEM)
    assert b"Compare the two" in sign_in(acme.owner).get(url(acme.server)).content


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
