"""What was seen in pictures of every page: empty boxes, internal names in the trail, and words of Django."""

import re
from pathlib import Path

from django.conf import settings
from django.contrib import admin
from django.urls import reverse

from core.audit import Actor, record
from core.models import AuditEntry
from panel import audit_values
from panel.pages.servers import ServerAdmin
from servers.models import OrganizationPool
from tests.panel.conftest import SYSTEM, sign_in
from throttling.models import ThrottleProgram, WarmUpPlan


def page_of(client, shown, page="change"):
    return client.get(admin.site._registry[type(shown)].url_of(shown.pk, page)).content.decode()


def fields_of(client, shown):
    url = admin.site._registry[type(shown)].url_of(shown.pk, "history")
    return {each.field: each.after for version in client.get(url).context["versions"] for each in version.differences}


def test_the_trail_tells_no_field_that_only_code_knows(acme, platform, root):
    address = platform.address
    state = {"virtualmta_ptr_id": address.pk, "ipv4": "192.0.2.1"}
    record(actor=SYSTEM, act="ip_address.created", target=address, after=state)
    assert "IPv4" in fields_of(root, address)
    grant = OrganizationPool.objects.filter(organization=acme.organization).first()
    record(actor=SYSTEM, act="organization_pool.created", target=grant, after={"last_assigned_seq": 0, "id": grant.pk})
    record(actor=SYSTEM, act="user.created", target=acme.owner, after={"email": "a@b.example"})
    told = {*fields_of(root, address), *fields_of(root, grant), *fields_of(root, acme.owner)}
    assert not {field for field in told if "ptr" in field.lower() or "seq" in field}
    assert "e-mail address" in told


def test_choices_within_documents_are_told_in_words(platform, root):
    rule = platform.routing_rule
    record(
        actor=SYSTEM,
        act="routing_rule.changed",
        target=rule,
        before={"default": {"randomization_type": "random", "deliver_through": []}},
        after={"default": {"randomization_type": "message_constant", "deliver_through": []}},
    )
    url = admin.site._registry[type(rule)].url_of(rule.pk, "history")
    [told] = root.get(url).context["versions"][0].differences
    assert (told.field, told.before, told.after) == (
        "to all other domains — chosen anew for",
        "Each attempt",
        "The message",
    )


def test_a_day_in_the_trail_is_written_as_on_the_page(platform, root):
    entry = AuditEntry(target_type="ippools.warmup", act="warm_up.began", after={"begins_on": "2026-11-19"})
    reader = audit_values.Reader.__new__(audit_values.Reader)
    reader.names = {}
    assert reader.of_entry(entry)[0].after == "19 Nov 2026"


def test_who_did_it_is_said_once(acme, platform, root):
    record(actor=Actor.system(), act="server.changed", target=acme.server, before={"name": "a"}, after={"name": "b"})
    content = page_of(root, acme.server, "history")
    assert "<td>Sluice</td>" in content


def test_a_dialog_that_only_asks_has_no_empty_box(acme, platform, root):
    page = admin.site._registry[type(acme.server)]
    for name, is_empty in (("switch_to_development", True), ("suspend", False)):
        content = root.get(page.url_of(acme.server.pk, name)).content.decode()
        assert ("panel-nothing" in content) is is_empty, name


def test_choices_and_passwords_are_in_our_words(acme, platform, root):
    page = admin.site._registry[type(platform.address)]
    assert WarmUpPlan.objects.exists()
    assert "---------" not in root.get(page.url_of(platform.address.pk, "warm_up")).content.decode()
    content = root.get(reverse("admin:password_change")).content.decode()
    assert "Again" in content
    assert "for verification" not in content
    assert "can’t be" not in content
    pages = root.get(reverse("admin:app_list", args=["servers"])).content.decode()
    assert "administration" not in pages


def test_what_nobody_uses_is_said_and_what_is_missing_is_a_long_dash(platform, root):
    program = ThrottleProgram.objects.get(is_builtin=True)
    assert "No address has rules that use it" in page_of(root, program)
    entry = record(actor=SYSTEM, act="throttle_program.changed", target=program) or AuditEntry.objects.latest("pk")
    assert ">-<" not in page_of(root, entry)


def test_a_person_without_an_address_has_a_long_dash_in_the_list(platform, root):
    platform.staff.email = ""
    platform.staff.save()
    content = root.get(reverse("admin:core_user_changelist"), {"q": platform.staff.username}).content.decode()
    cell = content.split("field-mailbox")[1].split("</td>")[0]
    assert "—" in cell


def test_a_look_at_a_page_that_crashed_lost_no_change(acme, platform, monkeypatch):
    monkeypatch.setattr(ServerAdmin, "summary_of", lambda *args: 1 / 0)
    client = sign_in(acme.owner)
    client.raise_request_exception = False
    content = page_of(client, acme.server)
    assert "The error has been logged." in content
    assert "not saved" not in content


def test_whoever_saves_is_led_to_the_effects_that_are_shown_first():
    """They stand below numbers and charts, and a page that opens above them looks saved."""
    texts = [path.read_text() for path in (Path(settings.BASE_DIR) / "templates").rglob("*.html")]
    looks = [found for text in texts for found in re.findall(r"<section[^>]*panel-preview[^>]*>", text)]
    assert len(looks) >= 4
    assert [found for found in looks if not found.startswith('<section tabindex="-1" autofocus class=')] == []
