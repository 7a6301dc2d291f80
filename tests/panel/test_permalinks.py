"""Renaming an organization in the panel: looked at first, and its former permalink held back until the platform releases it."""

import datetime

import pytest
from django.urls import reverse
from django.utils import timezone

from core.models import AuditEntry
from servers.models import FormerPermalink, Organization
from servers.provisioning import change_organization
from stats.intake.event_sources import map_text
from stats.intake.reported_names import note
from stats.models import EventSource
from tests.panel.conftest import SYSTEM, sign_in

LIST = reverse("admin:servers_formerpermalink_changelist")


def page_of(tenant):
    return reverse("admin:servers_organization_change", args=[tenant.organization.pk])


def post(client, tenant, **changes):
    organization = Organization.objects.get(pk=tenant.organization.pk)
    given = {name: getattr(organization, name) for name in ("name", "permalink", "time_zone")}
    return client.post(page_of(tenant), {**given, **changes})


def confirmed(client, tenant, **changes):
    """Send the form, and again with the mark that the page with what it does has."""
    looked = post(client, tenant, **changes)
    assert looked.status_code == 200
    return post(client, tenant, **changes, _confirmed=looked.context["adminform"].form.confirmation)


def effect_of(response):
    effect = response.context["adminform"].form.preview
    return effect.summary, effect.lines


@pytest.fixture
def used(acme, globex, platform):
    source = EventSource.objects.get()
    map_text(source=source, text="acme-bulk", server=acme.server, actor=SYSTEM)
    map_text(source=source, text="acme-of-globex", server=globex.server, actor=SYSTEM)
    note([("acme", "acme-server"), ("globex", "globex-server")], reporter="event source mail log", today=20_780)
    note([("acme", "acme-server")], reporter="node mta1", today=20_784)
    return acme


def test_renaming_shows_first_what_depends_on_the_permalink(used, root, time_machine):
    time_machine.move_to(datetime.datetime(2026, 11, 27, 12, tzinfo=datetime.UTC), tick=False)
    looked = post(root, used, permalink="acme-inc")
    summary, lines = effect_of(looked)
    assert summary == (
        "SMTP users begin with acme-inc/ instead of acme/: programs can no longer authenticate with the old ones. Until"
        " 27 Dec 2026, acme is reserved, and events that contain it count for Acme as before; then they are refused, until"
        " another organization takes the name."
    )
    assert lines == [
        ("Event source mail log", "acme/… for 1 server, last on 23 Nov 2026", "until 27 Dec 2026"),
        ("Node mta1", "acme/… for 1 server, last on 27 Nov 2026", "until 27 Dec 2026"),
        ("SMTP user of Acme server", "acme/acme-server", "acme-inc/acme-server"),
        ("Mapping of event source mail log", "acme-bulk", "still means Acme server"),
        ("1 host name of an address", ".acme.", "stay"),
    ]
    assert Organization.objects.filter(permalink="acme").exists()
    assert confirmed(root, used, permalink="acme-inc").status_code == 302
    assert Organization.objects.get(permalink="acme-inc").pk == used.organization.pk


def test_its_people_are_not_told_of_the_platforms_collectors(used):
    lines = effect_of(post(sign_in(used.owner), used, permalink="acme-inc"))[1]
    told = str(lines)
    assert lines[0][:2] == ("2 collectors of the platform", "acme/… for 2 servers")
    assert [word for word in ("mail log", "mta1", "Mapping", "lobex") if word in told] == []


def test_another_change_needs_no_look(used, root):
    assert post(root, used, name="Acme Limited").status_code == 302


def test_going_back_to_a_former_permalink_says_what_it_does(used, root):
    assert post(root, used, name="Acme Limited").status_code == 302
    entry = AuditEntry.objects.filter(target_type="servers.organization", target_id=used.organization.pk).last()
    change_organization(at=timezone.now(), organization=used.organization, permalink="acme-inc", actor=SYSTEM)
    history = reverse("admin:servers_organization_history", args=[used.organization.pk])
    looked = root.post(history, {"entry": entry.pk})
    assert looked.context["effect"].summary.startswith("SMTP users begin with acme/ instead of acme-inc/")
    root.post(history, dict(looked.context["hidden"]))
    assert Organization.objects.get(pk=used.organization.pk).permalink == "acme"


@pytest.mark.parametrize("who", ["owner", "root"])
def test_a_former_permalink_is_refused_to_others(who, acme, globex, platform, root):
    change_organization(at=timezone.now(), organization=acme.organization, permalink="acme-inc", actor=SYSTEM)
    client = root if who == "root" else sign_in(globex.owner)
    response = post(client, globex, permalink="acme")
    (fault,) = response.context["adminform"].form.errors["permalink"]
    told = {"root": "Was another organization's and is reserved until ", "owner": "Has already been taken"}
    assert fault.startswith(told[who])
    assert Organization.objects.get(pk=globex.organization.pk).permalink == "globex"


def test_a_new_customer_goes_round_a_former_permalink(acme, platform, root):
    change_organization(
        at=timezone.now(), organization=acme.organization, name="Renamed", permalink="renamed", actor=SYSTEM
    )
    given = {"name": "Acme", "server": "Mail", "mode": "live", "pool": "none", "time_zone": "UTC"}
    assert root.post(reverse("admin:new_customer"), given).status_code == 200
    assert Organization.objects.get(name="Acme").permalink == "acme-2"


def test_the_list_says_what_is_held_back_for_whom(acme, globex, platform, root):
    FormerPermalink.objects.all().delete()
    change_organization(at=timezone.now(), organization=acme.organization, permalink="acme-inc", actor=SYSTEM)
    old = timezone.now() - datetime.timedelta(days=40)
    for permalink in ("free-one", "globex"):
        FormerPermalink.objects.create(
            permalink=permalink,
            organization=acme.organization,
            since=old,
            until=timezone.now(),
            held_until=timezone.now(),
        )
    page = root.get(LIST)
    admin = page.context["cl"].model_admin
    rows = {each.permalink: (admin.state(each), admin.has_it_now(each)) for each in page.context["cl"].result_list}
    assert rows == {"acme": ("reserved", "—"), "free-one": ("free", "—"), "globex": ("taken", "Globex")}


def test_the_platform_releases_one(acme, globex, platform, root):
    change_organization(at=timezone.now(), organization=acme.organization, permalink="acme-inc", actor=SYSTEM)
    held = FormerPermalink.objects.get(permalink="acme")
    url = reverse("admin:servers_formerpermalink_release", args=[held.pk])
    assert "unknown_server" in root.get(url).content.decode()
    assert root.post(url, {"_form_submitted": "on"}).status_code == 302
    assert AuditEntry.objects.filter(act="former_permalink.released", actor_label="root").count() == 1
    # Again: it is free already.
    assert "is not reserved" in root.post(url, {"_form_submitted": "on"}).content.decode()
    assert confirmed(sign_in(globex.owner), globex, permalink="acme").status_code == 302


@pytest.mark.parametrize("role", ["owner", "operator", "analyst"])
def test_nobody_else_sees_or_releases_one(role, acme, platform):
    client = sign_in(getattr(acme, role))
    held = FormerPermalink.objects.get(organization=acme.organization)
    for name in ("change", "release", "history"):
        response = client.post(
            reverse(f"admin:servers_formerpermalink_{name}", args=[held.pk]), {"_form_submitted": "on"}
        )
        assert response.status_code in (302, 403, 404), name
    assert client.get(LIST).status_code == 403
    held.refresh_from_db()
    assert held.is_held(timezone.now())


def test_a_staff_member_who_may_only_look_releases_nothing(acme, platform):
    from django.contrib.auth.models import Permission

    from tests.panel.conftest import make_person

    person = make_person("looks")
    person.user_permissions.set(Permission.objects.filter(codename__in=["platform", "view_formerpermalink"]))
    held = FormerPermalink.objects.get(organization=acme.organization)
    client = sign_in(person)
    assert client.get(LIST).status_code == 200
    assert client.post(reverse("admin:servers_formerpermalink_release", args=[held.pk])).status_code == 403


def test_renaming_shows_the_roles_of_single_sign_on_to_the_platform(used, root, settings):
    settings.SLUICE_OIDC_ROLES = ["admins=superuser", "it=acme/operator", "others=globex/owner"]
    line = ("Single sign-on (SLUICE_OIDC_ROLES)", "it=acme/operator", "still means Acme")
    lines = effect_of(post(root, used, permalink="acme-inc"))[1]
    assert [each for each in lines if "OIDC" in str(each)] == [line]
    assert "OIDC" not in str(effect_of(post(sign_in(used.owner), used, permalink="acme-inc"))[1])
