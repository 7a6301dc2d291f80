"""A record's history: who changed what, two states side by side, and the way back by the same act."""

import csv
import io
import re
import tracemalloc
import zoneinfo

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from core.audit import Actor, record
from core.models import AuditEntry
from panel import audit_differences
from servers.pools import create_pool, delete_pool
from servers.provisioning import change_server, suspend_server
from tests.panel.conftest import NOW, SYSTEM, furnished, sign_in
from tests.races import at_once, in_the_open
from tests.words import ip_addresses, templates
from throttling import rule_sets
from throttling import templates as throttling_templates


def url(record, page="history"):
    return reverse(f"admin:{record._meta.app_label}_{record._meta.model_name}_{page}", args=[record.pk])


def restore(client, record, entry, **more):
    """Ask for a version, look at what it would do, and confirm."""
    asked = client.post(url(record), {"entry": entry.pk})
    assert asked.status_code == 200, "it is shown first"
    assert asked.context["differences"]
    return client.post(url(record), dict(asked.context["hidden"]), **more)


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
        ("IP pool", "Acme pool (Acme)", "Other pool (Acme)")
    ]
    assert [(each.field, each.before, each.after) for each in suspended.differences] == [
        ("suspended at", "—", "18 Nov 2026, 19:30"),
        ("suspension reason", "—", "Spam"),
        ("suspended by platform", "no", "yes"),
    ]
    first = {each.field: (each.before, each.after) for each in created.differences}
    assert (first["organization"], first["IP pool"]) == ((None, "Acme"), (None, "Acme pool (Acme)"))
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


def test_the_rules_of_what_was_made_are_a_line_each_without_their_ids(platform, root):
    rules = [
        {"domains": [f"d{number}.example"], "max_concurrent_connections": 1, "max_messages_per_hour": 2}
        for number in range(23)
    ]
    made = throttling_templates.create(
        name="Many", max_concurrent_connections=1, max_messages_per_hour=1, rules=rules, actor=SYSTEM
    )
    page = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", root.get(url(made)).content.decode()))
    assert "rule added: d0.example connections: 1; messages per hour: 2" in page
    assert "rule added: d19.example" in page
    assert "d20.example" not in page
    assert "… and 3 more" in page


def test_an_entry_of_the_trail_names_them_too(acme, platform):
    entry = AuditEntry.objects.get(act="server.created", target_id=str(acme.server.pk))
    page = sign_in(acme.analyst).get(reverse("admin:core_auditentry_change", args=[entry.pk]))
    found = {each.field: each.after for each in page.context["differences"]}
    assert (found["organization"], found["IP pool"], found["mode"]) == ("Acme", "Acme pool (Acme)", "Live")
    gone = AuditEntry.objects.create(
        actor_kind="system", actor_label="x", act="y.z", target_type="no.model", target_id="1", target_label="it",
        organization_id=acme.organization.pk, after={"thing_id": 4, "at": "2026-02-30T00:00:00+00:00"},
    )  # fmt: skip
    page = sign_in(acme.analyst).get(reverse("admin:core_auditentry_change", args=[gone.pk]))
    found = {each.field: each.after for each in page.context["differences"]}
    assert found == {"thing ID": "4", "at": "2026-02-30T00:00:00+00:00"}


def test_an_entry_of_the_trail_tells_the_readers_own_time_to_the_second(acme):
    acme.analyst.time_zone = "Asia/Tokyo"
    acme.analyst.save()
    entry = AuditEntry.objects.get(act="server.created", target_id=str(acme.server.pk))
    page = sign_in(acme.analyst).get(reverse("admin:core_auditentry_change", args=[entry.pk])).content.decode()
    there = entry.at.astimezone(zoneinfo.ZoneInfo("Asia/Tokyo"))
    assert f"{there.day} {there:%b %Y, %H:%M:%S}" in page
    assert str(entry.at) not in page


def test_nothing_to_compare_is_not_offered(acme, platform):
    assert b"Compare" not in sign_in(acme.owner).get(url(acme.server)).content
    change_server(server=acme.server, name="Renamed", actor=SYSTEM)
    assert b"Compare" in sign_in(acme.owner).get(url(acme.server)).content


def test_restoring_is_a_change_like_any_other(acme, platform):
    change_server(server=acme.server, name="Renamed", mode="development", actor=SYSTEM)
    first = AuditEntry.objects.get(act="server.created", target_id=str(acme.server.pk))
    assert sign_in(acme.analyst).post(url(acme.server), {"entry": first.pk}).status_code == 403
    client = sign_in(acme.operator)
    asked = client.post(url(acme.server), {"entry": first.pk})
    assert [(each.field, each.before, each.after) for each in asked.context["differences"]] == [
        ("name", "Renamed", "Acme server"),
        ("mode", "Development", "Live"),
    ]
    acme.server.refresh_from_db()
    assert acme.server.name == "Renamed", "nothing is done before it is confirmed"
    assert restore(client, acme.server, first).status_code == 302
    acme.server.refresh_from_db()
    assert (acme.server.name, acme.server.mode) == ("Acme server", "live")
    entry = AuditEntry.objects.latest("pk")
    assert (entry.act, entry.actor_label, entry.before["name"]) == ("server.changed", "Acme-operator", "Renamed")


@in_the_open
@pytest.mark.storage
def test_of_two_restores_at_once_the_second_is_shown_what_the_first_has_left():
    tenant = furnished("Acme", "192.0.2.1")
    for name in ("One", "Two", "Three"):
        change_server(server=tenant.server, name=name, actor=SYSTEM)
    entries = AuditEntry.objects.filter(act="server.changed").order_by("pk")[:2]
    client = sign_in(tenant.owner)
    asked = [dict(client.post(url(tenant.server), {"entry": each.pk}).context["hidden"]) for each in entries]
    answers = at_once(*(lambda given=given: client.post(url(tenant.server), given).status_code for given in asked * 2))
    assert sorted(answers) == [200, 200, 200, 302]
    assert AuditEntry.objects.filter(act="server.changed").count() == 4


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
    asked = root.post(url(template), {"entry": created.pk})
    assert asked.context["effect"].summary == "1 address with this template: other limits for 1 domain pattern."
    assert asked.context["effect"].lines == [("mail.example", "no rule", "5 connections, 50 messages per hour")]
    assert "Effects on other records" in asked.content.decode()
    assert restore(root, template, created).status_code == 302
    template.refresh_from_db()
    [rule] = rule_sets.document(template.rules)["rules"]
    assert (template.name, rule["domains"], rule["max_messages_per_hour"]) == ("Careful", ["mail.example"], 50)


def test_an_entry_of_another_record_is_no_way_back(acme, globex, platform):
    foreign = AuditEntry.objects.get(act="server.created", target_id=str(globex.server.pk))
    page = sign_in(acme.owner).post(url(acme.server), {"entry": foreign.pk}, follow=True)
    assert "The version could not be found" in page.content.decode()


def test_tenants_read_of_a_shared_address_only_what_is_theirs(acme, globex, platform):
    from servers.pools import add_members

    add_members(pool=globex.pool, addresses=[acme.address], actor=SYSTEM, organization_id=globex.organization.pk)
    ip_addresses.update(acme.address.pk, {"delivery_paused": True}, actor=SYSTEM)
    assert [each.entry.act for each in sign_in(acme.owner).get(url(acme.address)).context["versions"]] == [
        "ip_address.created"
    ]
    assert sign_in(globex.owner).get(url(acme.address)).context["versions"] == []


def differences(client, record):
    newest = client.get(url(record)).context["versions"][0]
    return [(each.field, each.before, each.after) for each in newest.differences]


def rule(domains, connections, messages, **more):
    return {
        "domains": domains, "max_concurrent_connections": connections, "max_messages_per_hour": messages, **more
    }  # fmt: skip


def test_a_rule_changed_among_many_is_one_line(platform, root):
    rules = [rule([f"receiver-with-a-long-name-{n}.example", f"second-{n}.example"], 10, 1000) for n in range(60)]
    rules[40] = rule(["orange.fr", "wanadoo.fr"], 10, 900)
    template = templates.create(
        {"name": "Long", "default": {"max_concurrent_connections": 0, "max_messages_per_hour": 5}, "rules": rules},
        actor=SYSTEM,
    )
    document = rule_sets.document(template.rules)
    document["rules"][40]["max_messages_per_hour"] = 10
    templates.update(template.pk, {"rules": document["rules"]}, actor=SYSTEM, replaces_rules=True)
    assert differences(root, template) == [("orange.fr, wanadoo.fr — messages per hour", "900", "10")]


def test_rules_added_and_removed_are_named(platform, root):
    template = templates.create(
        {
            "name": "Three",
            "default": {"max_concurrent_connections": 0, "max_messages_per_hour": 5},
            "rules": [rule(["a.example"], 1, 0), rule(["b.example"], 2, 2), rule(["c.example"], 3, 3)],
        },
        actor=SYSTEM,
    )
    _, second, third = rule_sets.document(template.rules)["rules"]
    second = {**second, "domains": ["b.example", "bb.example"]}
    new = rule(["d.example"], 4, 0, throttle_program={"id": platform.program.pk})
    values = {
        "rules": [third, second, new],
        "default": {"max_concurrent_connections": 7, "max_messages_per_hour": 5},
    }
    templates.update(template.pk, values, actor=SYSTEM, replaces_rules=True)
    assert sorted(differences(root, template), key=lambda each: each[0]) == [
        ("b.example — domains", "b.example", "b.example, bb.example"),
        (
            "rule added: d.example",
            None,
            "connections: 4; messages per hour: unlimited; program: Slow down",
        ),
        ("rule removed: a.example", "connections: 1; messages per hour: unlimited; program: —", None),
        ("to all other domains — connections", "unlimited", "7"),
    ]


def test_the_order_of_records_is_a_difference_of_its_own():
    first, second = {"id": 1, "name": "a", "x": 1}, {"id": 2, "name": "b", "x": 2}
    [moved] = audit_differences.changes({"rows": [first, second]}, {"rows": [second, first]})
    assert (moved.path, moved.kind) == (("rows",), audit_differences.ORDERED)
    assert [each.value["name"] for each in moved.after] == ["b", "a"]
    [changed] = audit_differences.changes({"rows": [first, second]}, {"rows": [{**first, "x": True}, second]})
    assert (changed.path[0], changed.path[2], changed.before, changed.after) == ("rows", "x", 1, True)
    assert list(audit_differences.changes({"rows": [first]}, {"rows": [{**first, "id": 9}]})) == []


def test_a_long_text_is_cut_at_a_word_where_it_begins_to_differ(acme, platform):
    words = " ".join(f"word{n}" for n in range(400))
    for end in ("first", "second"):
        record(
            actor=SYSTEM, act="server.changed", target=acme.server, organization_id=acme.organization.pk,
            before={"suspension_reason": words + " first"}, after={"suspension_reason": f"{words} {end} {words}"},
        )  # fmt: skip
    [(_, before, after)] = differences(sign_in(acme.owner), acme.server)
    assert before.endswith("word399 first")
    assert before.startswith("… word")
    assert "word399 second word0" in after
    assert "more characters)" in after
    cut_at = after.split(" … (")[0].split()[-1]
    assert cut_at in words.split()


def test_a_record_that_is_gone_keeps_its_name(acme, platform):
    other = create_pool(organization=acme.organization, name="Short-lived", ips=[], actor=SYSTEM).pool
    change_server(server=acme.server, ip_pool=other, actor=SYSTEM)
    change_server(server=acme.server, ip_pool=acme.pool, actor=SYSTEM)
    delete_pool(pool=other, actor=SYSTEM)
    assert differences(sign_in(acme.owner), acme.server) == [("IP pool", "Short-lived", "Acme pool (Acme)")]


def test_what_changed_since_the_look_is_looked_at_again(acme, platform):
    first = AuditEntry.objects.get(act="server.created", target_id=str(acme.server.pk))
    change_server(server=acme.server, name="Renamed", actor=SYSTEM)
    client = sign_in(acme.owner)
    asked = client.post(url(acme.server), {"entry": first.pk})
    change_server(server=acme.server, mode="development", actor=SYSTEM)
    again = client.post(url(acme.server), dict(asked.context["hidden"]))
    assert again.status_code == 200
    assert {each.field for each in again.context["differences"]} == {"name", "mode"}


TRAIL = reverse("admin:core_auditentry_changelist")


def found(client, **asked):
    response = client.get(TRAIL, asked)
    assert response.status_code == 200
    return list(response.context["cl"].result_list)


def test_the_trail_is_filtered_by_kind_act_person_organization_and_day(acme, globex, platform, root):
    change_server(server=acme.server, name="Renamed", actor=Actor.of_user(acme.owner))
    [changed] = found(root, kind="servers.server", done="changed")
    assert (changed.act, changed.target_label) == ("server.changed", "Renamed")
    assert [each.pk for each in found(root, person="Acme-owner")] == [changed.pk]
    assert {each.organization_id for each in found(root, organization="globex")} == {globex.organization.pk}
    assert {each.organization_id for each in found(root, organization="Acme")} == {acme.organization.pk}
    assert found(root, day="yesterday") == []
    page = root.get(reverse("admin:core_auditentry_changelist")).content.decode()
    assert ("IP pool rule" in page, "Ip pool" in page) == (True, False)
    assert found(root, day="today", kind="servers.server", done="changed") == [changed]
    # Another tenant's name finds nothing, as one that does not exist.
    assert found(sign_in(acme.owner), organization="globex") == found(sign_in(acme.owner), organization="nobody") == []
    for name in ("person", "organization"):
        assert root.get(TRAIL, {name: "\x00"}).status_code == 400


def test_an_entry_leads_to_its_record_and_back(acme, platform):
    client = sign_in(acme.owner)
    change_server(server=acme.server, name="Renamed", actor=SYSTEM)
    version = client.get(url(acme.server)).context["versions"][0]
    entry = reverse("admin:core_auditentry_change", args=[version.entry.pk])
    assert entry in client.get(url(acme.server)).content.decode()
    assert version.title == "Server changed"
    page = client.get(entry)
    assert (page.context["record_url"], page.context["history_url"]) == (
        url(acme.server, "change"),
        url(acme.server),
    )
    # Of a record that is gone there is no page.
    gone = AuditEntry.objects.create(
        actor_kind="system", actor_label="x", act="server.deleted", target_type="servers.server", target_id="999999",
        target_label="it", organization_id=acme.organization.pk, before={"name": "it"},
    )  # fmt: skip
    assert "record_url" not in client.get(reverse("admin:core_auditentry_change", args=[gone.pk])).context


def test_the_trail_is_exported_as_it_is_filtered(acme, globex, platform):
    change_server(server=acme.server, name="=Renamed", actor=SYSTEM)
    response = sign_in(acme.owner).get(reverse("admin:core_auditentry_export"), {"kind": "servers.server"})
    head, *rows = list(csv.reader(io.StringIO(response.content.decode("utf-8-sig"))))
    assert head == ["at", "who", "kind of actor", "what", "record", "changes", "request id"]
    assert tuple(rows[0][3:6]) == (
        "Server changed",
        "'=Renamed",
        "name: Acme server → =Renamed",
    )
    assert "lobex" not in response.content.decode()


def test_large_entries_are_neither_listed_nor_held_all_at_once(acme, platform, root):
    """An entry of a large rule set takes megabytes: a list shows none of it, and a file is written piece by piece."""
    state = {"name": "Acme", "note": "x" * 100_000}
    AuditEntry.objects.bulk_create(
        AuditEntry(
            actor_kind="system", actor_label="x", act="server.changed", target_type="servers.server", target_id=str(number),
            target_label="it", organization_id=acme.organization.pk, before=state, after={**state, "name": "Acme 2"},
        )
        for number in range(120)
    )  # fmt: skip
    with CaptureQueriesContext(connection) as queries:
        root.get(reverse("admin:core_auditentry_changelist"))
        root.get(reverse("admin:core_auditentry_list_export"))
    assert not [each["sql"] for each in queries if '"core_auditentry"."after"' in each["sql"]]
    tracemalloc.start()
    try:
        response = root.get(reverse("admin:core_auditentry_export"), {"kind": "servers.server"})
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    rows = list(csv.reader(io.StringIO(response.content.decode("utf-8-sig"))))
    assert [row[5] for row in rows].count("name: Acme → Acme 2") == 120
    # Of 24 MB, which are held as text and as objects.
    assert most < 16_000_000
