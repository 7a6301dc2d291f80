"""A form that was opened before others changed the record takes none of their changes back unseen."""

import functools
import re

from django.contrib import admin
from django.urls import reverse
from django.utils import timezone

from ippools.models import IPAddress
from ippools.pausing import pause
from panel.forms.base import CHANGED_MEANWHILE
from tests.panel.conftest import SYSTEM, sign_in
from tests.panel.posting import errors
from tests.panel.test_rules import address_form, change_url


def shown(response):
    [marks] = re.findall(r'name="_shown" value="([^"]+)"', response.content.decode())
    return {"_shown": marks}


def test_an_address_that_was_paused_meanwhile_stays_paused(acme, platform, root):
    address = IPAddress.objects.get(ipv4="192.0.2.1")
    opened = shown(root.get(change_url(address)))
    pause(address.pk, reason="blocked", until=None, at=timezone.now(), actor=SYSTEM)
    given = address_form(address, [], priority=50, **opened)
    response = root.post(change_url(address), given)
    assert errors(response) == {"delivery_paused": [CHANGED_MEANWHILE]}
    # The form is far down the page.
    assert '<p tabindex="-1" autofocus class="errornote' in response.content.decode()
    address.refresh_from_db()
    assert (address.delivery_paused, address.priority) == (True, 100)
    # Who has read it decides.
    assert root.post(change_url(address), given | shown(response)).status_code == 302
    address.refresh_from_db()
    assert (address.delivery_paused, address.priority) == (False, 50)


def test_the_same_form_sent_twice_is_saved_once_and_other_fields_go_beside(acme):
    client, server = sign_in(acme.operator), acme.server
    url = reverse("admin:servers_server_change", args=[server.pk])
    page = client.get(url)
    given = {
        field.html_name: "" if field.value() in (None, False) else getattr(field.value(), "pk", field.value())
        for field in page.context["adminform"].form
    } | shown(page)
    assert client.post(url, given | {"send_limit": "50"}).status_code == 302
    assert client.post(url, given | {"send_limit": "50"}).status_code == 302
    assert errors(client.post(url, given | {"name": "Other"})) == {"send_limit": [CHANGED_MEANWHILE]}
    server.refresh_from_db()
    assert (server.name, server.send_limit) == ("Acme server", 50)
    assert client.post(url, given | {"name": "Other", "send_limit": "50"}).status_code == 302


def changelist(page):
    return reverse(f"admin:{page.opts.app_label}_{page.opts.model_name}_changelist")


def test_a_deletion_that_is_confirmed_twice_leads_to_the_list(acme, platform, root):
    deleted, unlike = set(), {}
    look = root.get(reverse("admin:index")).wsgi_request
    for page in [each for each in admin.site._registry.values() if each.is_deleted]:
        for record in page.get_queryset(look).order_by("-pk")[:3]:
            confirm = functools.partial(root.post, page.url_of(record.pk, "delete"), {"post": "yes"})
            done = confirm()
            if done.status_code != 302 or page.get_queryset(look).filter(pk=record.pk).exists():
                continue
            deleted.add(page.opts.label)
            assert done.url.split("?")[0] == changelist(page), page
            again = confirm(follow=True)
            said = f"This {page.opts.verbose_name} is deleted already."
            if again.status_code != 200 or said not in again.content.decode():
                unlike[page.opts.label] = again.status_code
            # Who did not delete it is not told that there was such a record.
            assert sign_in(acme.owner).post(page.url_of(record.pk, "delete"), {"post": "yes"}).status_code in (403, 404)
            assert root.get(page.url_of(record.pk, "delete")).status_code == 404
    assert unlike == {}
    assert len(deleted) >= 12, deleted
