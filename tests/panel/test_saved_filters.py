"""Saved filters: of one person and list, what they keep, and who may have them."""

import re

import pytest
from django.contrib import admin
from django.db import IntegrityError, transaction
from django.urls import reverse

from core import saved_filters
from core.errors import Invalid
from core.models import SavedFilter
from tests.panel.conftest import make_person, sign_in

SAVE = "/admin/saved-filters/"


def save(client, page="servers.server", name="Live", query="mode__exact=live", **more):
    return client.post(SAVE, {"page": page, "name": name, "query": query, **more})


def names_above(client, path):
    html = client.get(path).content.decode()
    chips = re.search(r'aria-label="Saved filters">(.*?)</ul>', html, re.DOTALL)
    return re.findall(r"<a [^>]*>(.*?)</a>", chips[1]) if chips else []


def test_it_works(acme, platform):
    client = sign_in(acme.analyst)
    path = reverse("admin:servers_server_changelist")
    page = client.get(path, {"mode__exact": "live", "o": "-1", "p": "1"}).content.decode()
    [query] = re.findall(r'name="query" value="(.*?)"', page)
    response = save(client, query=query.replace("&amp;", "&"))
    assert response.headers["Location"] == f"{path}?mode__exact=live&o=-1"
    assert names_above(client, path) == ["Live"]
    again = client.get(response.headers["Location"]).content.decode()
    assert 'aria-current="true">Live</a>' in again
    # What is saved already is not offered to be saved.
    assert "Save this filter" not in again
    saved = SavedFilter.objects.get()
    client.post(SAVE, {"page": "servers.server", "delete": saved.pk})
    assert names_above(client, path) == []


def test_it_is_one_persons_and_one_lists(acme, globex, platform):
    save(sign_in(acme.analyst))
    path = reverse("admin:servers_server_changelist")
    assert names_above(sign_in(acme.owner), path) == []
    assert names_above(sign_in(platform.superuser), path) == []
    assert names_above(sign_in(acme.analyst), reverse("admin:servers_domain_changelist")) == []
    saved = SavedFilter.objects.get()
    sign_in(globex.owner).post(SAVE, {"page": "servers.server", "delete": saved.pk})
    assert SavedFilter.objects.filter(pk=saved.pk).exists()


def test_the_same_name_gets_the_new_filter(acme):
    client = sign_in(acme.owner)
    save(client)
    save(client, name=" Live ", query="mode__exact=development")
    assert SavedFilter.objects.get().query == "mode__exact=development"


def test_it_rejects_pages_that_the_person_cannot_view(acme, platform):
    client = sign_in(acme.owner)
    for page in ("throttling.throttlingtemplate", "servers.nothing", "", "https://elsewhere.example/"):
        assert save(client, page=page).status_code == 403
    assert save(sign_in(make_person("nobody"))).status_code == 403
    assert sign_in(None).post(SAVE, {"page": "servers.server"}).status_code == 302
    assert not SavedFilter.objects.exists()
    assert client.get(SAVE).status_code == 405


@pytest.mark.parametrize("name", ["", "   ", "x" * 61, "a\x00b"])
def test_it_rejects_names_that_cannot_be(acme, name):
    response = save(sign_in(acme.owner), name=name)
    assert response.status_code == 302
    assert not SavedFilter.objects.exists()


def test_it_rejects_a_filter_that_is_too_long(acme):
    save(sign_in(acme.owner), query="q=" + "x" * 5_000)
    assert not SavedFilter.objects.exists()


def test_it_stays_on_the_list(acme):
    response = save(sign_in(acme.owner), query="q=a&next=https://elsewhere.example/&p=3&_popup=1")
    path = reverse("admin:servers_server_changelist")
    assert response.headers["Location"] == f"{path}?next=https%3A%2F%2Felsewhere.example%2F&q=a"


def test_a_list_has_a_bound_of_them(acme):
    user = acme.owner
    for number in range(saved_filters.MOST):
        saved_filters.save(user=user, page="servers.server", name=f"Filter {number}", query="q=a")
    with pytest.raises(Invalid):
        saved_filters.save(user=user, page="servers.server", name="One more", query="q=a")
    # One that is there can be changed still, and another list has its own.
    saved_filters.save(user=user, page="servers.server", name="Filter 3", query="q=b")
    saved_filters.save(user=user, page="servers.domain", name="One more", query="q=a")


def test_every_list_has_them(acme, globex, platform):
    client = sign_in(platform.superuser)
    for model, page in admin.site._registry.items():
        saved_filters.save(user=platform.superuser, page=model._meta.label_lower, name="Mine", query="q=a")
        path = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        assert names_above(client, path) == ["Mine"], page


@pytest.mark.storage
def test_the_database_refuses_two_of_a_name_and_one_without(acme):
    saved_filters.save(user=acme.owner, page="servers.server", name="Live", query="q=a")
    for name in ("Live", ""):
        with pytest.raises(IntegrityError), transaction.atomic():
            SavedFilter.objects.create(user=acme.owner, page="servers.server", name=name, query="q=b")
