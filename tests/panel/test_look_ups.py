"""What the address of a list may ask: every column of every page is tried with every look-up.

A look-up that is not one of the page's filters would tell a column that the page does not show: `?password__startswith=a`.
"""

import pytest
from django.contrib import admin
from django.contrib.admin.exceptions import DisallowedModelAdminLookup
from django.contrib.admin.views.main import IncorrectLookupParameters
from django.test import RequestFactory
from django.urls import reverse

from tests.panel.conftest import sign_in
from tests.panel.urls import addresses

LOOK_UPS = (
    "", "exact", "iexact", "contains", "icontains", "startswith", "istartswith", "endswith", "regex", "iregex", "in",
    "gt", "gte", "lt", "lte", "range", "isnull", "year", "date", "length",
)  # fmt: skip
# Of related records' columns, of which there are many.
OF_OTHERS = ("", "startswith", "regex")
# Pages register themselves when the URL configuration is read.
assert addresses()
PAGES = {model._meta.label_lower: page for model, page in admin.site._registry.items()}


def paths_of(model, *, depth=2):
    """Return the paths of all columns of a model, those of related records too."""
    for field in model._meta.get_fields(include_hidden=True):
        if not field.is_relation:
            yield field.name
            continue
        yield field.name
        if getattr(field, "attname", field.name) != field.name:
            yield field.attname
        if depth > 1 and field.related_model is not None:
            yield from (f"{field.name}__{path}" for path in paths_of(field.related_model, depth=depth - 1))


def list_of(page, user, asked):
    request = RequestFactory().get("/", asked)
    request.user = user
    # As the middleware says of somebody who gave the code.
    user.is_verified = lambda: True
    request.resolver_match = None
    return page.get_changelist_instance(request)


def declared(page, user):
    """Return the parameters that the page's own filters read."""
    shown = list_of(page, user, {})
    specs = shown.filter_specs
    assert shown.date_hierarchy is None, "the matrix does not know of date hierarchies"
    return {name for spec in specs for name in spec.expected_parameters()}


def test_a_list_is_narrowed_by_its_own_filters_alone(acme, platform):
    answered = {label: answered_by(PAGES[label], platform.superuser) for label in sorted(PAGES)}
    assert {label: names for label, names in answered.items() if names} == {}


def answered_by(page, user):
    """Return the look-ups that are not the page's own filters and that its list answers all the same."""
    own, answered, tried = declared(page, user), [], 0
    for path in dict.fromkeys(paths_of(page.model)):
        for look_up in OF_OTHERS if "__" in path else LOOK_UPS:
            name = f"{path}__{look_up}" if look_up else path
            if name in own:
                continue
            tried += 1
            try:
                list_of(page, user, {name: "1"})
            except (DisallowedModelAdminLookup, IncorrectLookupParameters):
                continue
            answered.append(name)
    assert tried > 40, page
    return answered


def test_no_filter_compares_by_a_pattern(acme, platform):
    patterns = ("regex", "iregex", "contains", "startswith")
    own = {label: declared(page, platform.superuser) for label, page in PAGES.items()}
    assert [(label, name) for label in own for name in own[label] if name.rpartition("__")[2] in patterns] == []


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("core_user", "password__startswith=argon2"),
        ("core_user", "api_tokens__key_digest__startswith=0"),
        ("servers_server", "name__regex=^(a%2B)%2B$"),
        ("servers_credential", "key_digest__startswith=0"),
        ("servers_domain", "dkim_private_key__isnull=1"),
        ("ippools_ipaddress", "redirect__id__exact=1"),
    ],
)
def test_the_answer_is_a_refusal(name, asked, acme, platform):
    for user in (platform.superuser, platform.staff, acme.owner, acme.analyst):
        response = sign_in(user).get(f"{reverse(f'admin:{name}_changelist')}?{asked}")
        is_closed = name == "core_user" and user in (acme.owner, acme.analyst)
        assert response.status_code == (403 if is_closed else 400), user


def test_a_file_is_narrowed_by_no_more_than_its_list(platform):
    response = sign_in(platform.superuser).get(
        reverse("admin:ippools_ipaddress_export"), {"hostname__regex": "^(a+)+$"}
    )
    assert response.status_code == 400


def test_links_to_filtered_lists_still_lead_there(acme, globex, platform):
    client = sign_in(platform.superuser)
    for label, field, record in [
        ("servers_credential", "server", acme.server),
        ("servers_webhook", "server", acme.server),
        ("servers_route", "server", acme.server),
        ("servers_domain", "server", acme.server),
        ("servers_ippoolrule", "server", acme.server),
        ("servers_server", "organization", acme.organization),
        ("servers_membership", "organization", acme.organization),
        ("servers_organizationpool", "organization", acme.organization),
        ("ippools_ipaddress", "pools", acme.pool),
        ("ippools_ipaddress", "template", platform.template),
    ]:
        response = client.get(reverse(f"admin:{label}_changelist"), {f"{field}__id__exact": record.pk})
        assert response.status_code == 200, label
        found = list(response.context["cl"].result_list)
        assert found, label
        assert b"lobex" not in response.content or label == "ippools_ipaddress", label


TOO_MUCH = ("a " * 1_900, " ".join(f"w{number}" for number in range(11)), "a" * 201, "a\x00b")


@pytest.mark.parametrize("label", sorted(PAGES))
def test_a_search_of_many_words_finds_nothing(label, acme, platform):
    """Each word is a condition on each column: thousands of them are more than SQLite takes, and much work for PostgreSQL."""
    page = PAGES[label]
    request = RequestFactory().get("/")
    request.user = platform.superuser
    request.user.is_verified = lambda: True
    client = sign_in(platform.superuser)
    for text in TOO_MUCH:
        found, _ = page.get_search_results(request, page.get_queryset(request), text)
        assert not found.exists(), text[:20]
        response = client.get(reverse(f"admin:{label.replace('.', '_')}_changelist"), {"q": text})
        assert response.status_code == 200, text[:20]


def test_a_choice_of_many_words_finds_nothing(acme, platform):
    client = sign_in(platform.superuser)
    asked = {"app_label": "servers", "model_name": "domain", "field_name": "server"}
    assert client.get(reverse("admin:autocomplete"), {**asked, "term": acme.server.name}).json()["results"]
    for text in TOO_MUCH:
        assert client.get(reverse("admin:autocomplete"), {**asked, "term": text}).json()["results"] == [], text[:20]
