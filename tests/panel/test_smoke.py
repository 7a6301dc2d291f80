"""Every address of the panel answers, for a superuser and for whoever else comes, and nothing gives a 500."""

import pytest
from django.apps import apps
from django.contrib import admin
from django.urls import reverse

from tests.panel.conftest import sign_in
from tests.panel.urls import ARGUMENTS, addresses

PLACES = addresses()
# Configuration that has no page of its own: it is shown and changed on the page of what it is a part of.
PARTS = {
    "core.auditentry",
    # The front page shows and changes it.
    "core.setaside",
    # Shown above the list that it filters.
    "core.savedfilter",
    # The account's page and the user's show it.
    "core.identity",
    "throttling.ruleset",
    "throttling.rule",
    "throttling.ruledomain",
    "ippools.virtualmta",
    "ippools.ippoolmember",
    "ippools.domainoverride",
    "ippools.overridedomain",
    "ippools.deliverytarget",
    "ippools.addressidentity",
    # Shown by its address and by its blocklist.
    "ippools.listing",
    # Read by the intake of events; the address's history has its renames.
    "ippools.formeraddressname",
    # Shown by their warm-up.
    "ippools.warmupday",
    "stats.providerdomain",
    "nodes.nodeaddress",
    # Keeps the keys of names that are deleted and added again.
    "servers.domainkey",
    # Say whose domain it was at an event's time.
    "servers.domainverification",
    # The server's page and the front page show it.
    "servers.sendlimitmark",
    "nodes.nodereport",
    "nodes.nodepolicy",
    "nodes.policytext",
    "nodes.revisionpolicy",
    "nodes.publication",
}


def first_record(label):
    return apps.get_model(label)._default_manager.order_by("pk").first()


def address_of(place):
    if place.name == "app_list":
        return reverse("admin:app_list", kwargs={"app_label": "servers"})
    if place.name == "view_on_site":
        return "/admin/r/1/1/"
    args = [first_record(place.model).pk] if place.has_record else ARGUMENTS.get(place.name, [])
    return reverse(f"admin:{place.name}", args=args)


def test_it_answers(acme, globex, platform, root):
    labels = {place.model for place in PLACES if place.model}
    without = sorted(label for label in labels if first_record(label) is None)
    assert not without, f"make one of each of {without} in the fixtures of tests/panel, so that its pages are opened"
    failures = []
    for place in PLACES:
        response = root.get(address_of(place), {"s": "acme"} if place.name == "search" else {})
        # 403: a page whose records nobody adds or changes; 405: sign-out is a POST; 302: "nothing here", or signed in already.
        expected = (200,) if place.name.endswith(("_changelist", "_change")) else (200, 302, 403, 404, 405)
        if response.status_code not in expected:
            failures.append((place.name, response.status_code, response.content[:300]))
    assert failures == []
    assert len(PLACES) > 100


def test_every_model_of_configuration_has_a_page():
    registered = {model._meta.label_lower for model in admin.site._registry} | PARTS
    models = [
        model._meta.label_lower
        for app in ("core", "throttling", "ippools", "servers", "nodes")
        for model in apps.get_app_config(app).get_models()
    ]
    assert [label for label in models if label not in registered] == []


@pytest.mark.parametrize("hostile", ["' OR 1=1 --", "\x00", "9" * 40, "-1", "%", "É" * 300, "\ud800"])
def test_odd_ids_and_searches_are_no_crash(hostile, acme, platform, root):
    for model in admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        text = hostile.encode("utf-8", "surrogatepass")
        listing = reverse(f"{name}_changelist")
        assert root.get(listing, {"q": text}).status_code in (200, 302)
        assert root.get(listing, {"p": text}).status_code in (200, 302)
    assert root.get(reverse("admin:search"), {"s": text}).status_code == 200


def test_somebody_without_a_role_gets_in_and_sees_nothing(acme, platform):
    from tests.panel.conftest import make_person

    client = sign_in(make_person("nobody"))
    assert client.get("/admin/").status_code == 200
    assert client.get(reverse("admin:servers_server_changelist")).status_code == 403
