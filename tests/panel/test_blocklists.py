"""Blocklists in the panel: made, changed, deleted by the platform's staff, and shown on the pages of addresses."""

import pytest
from django.urls import reverse

from core.models import AuditEntry
from ippools.models import Blocklist, Listing
from tests.panel.conftest import NOW, sign_in

BLOCKLISTS = "admin:ippools_blocklist"


def form_of(**changes):
    given = {"name": "zen.example", "ranges": "127.0.0.2-127.0.0.11", "resolver": "", "lists_ipv4": "on", "interval": 60,
             "is_enabled": "on"}  # fmt: skip
    return given | changes


def test_it_works(platform, root):
    assert root.post(reverse(f"{BLOCKLISTS}_add"), form_of()).status_code == 302
    made = Blocklist.objects.get(name="zen.example")
    url = reverse(f"{BLOCKLISTS}_change", args=[made.pk])
    assert root.post(url, form_of(resolver="192.0.2.53")).status_code == 302
    made.refresh_from_db()
    assert (made.resolver, made.lists_ipv6) == ("192.0.2.53", False)
    assert root.post(reverse(f"{BLOCKLISTS}_delete", args=[made.pk]), {"post": "yes"}).status_code == 302
    acts = AuditEntry.objects.filter(target_type="ippools.blocklist", target_id=str(made.pk)).order_by("pk")
    assert list(acts.values_list("act", flat=True)) == ["blocklist.created", "blocklist.changed", "blocklist.deleted"]


@pytest.mark.parametrize(
    ("field", "value"), [("name", "no zone"), ("ranges", "10.0.0.1"), ("resolver", "dns.example"), ("interval", "1")]
)
def test_it_rejects_what_cannot_be_asked(platform, root, field, value):
    response = root.post(reverse(f"{BLOCKLISTS}_add"), form_of(**{field: value}))
    assert response.status_code == 200
    assert list(response.context["adminform"].form.errors) == [field]
    assert not Blocklist.objects.filter(name="zen.example").exists()


def test_a_listing_is_shown_to_those_who_see_the_address(acme, globex, platform, root):
    row = Blocklist.objects.get(name="bl.example")
    sentence = "bl.example lists 192.0.2.1 (127.0.0.2)."
    Listing.objects.create(
        blocklist=row, address=acme.address, listing_status="invalid", listing_error=sentence, listed="192.0.2.1",
        first_seen_at=NOW, last_seen_at=NOW,
    )  # fmt: skip
    Blocklist.objects.update(zone_status="ok", dns_checked_at=NOW)
    address = reverse("admin:ippools_ipaddress_change", args=[acme.address.pk])
    for client in (root, sign_in(acme.owner)):
        page = client.get(address).content.decode()
        assert sentence in page
        assert "listed since" in page
    assert sign_in(globex.owner).get(address).status_code == 404
    assert sentence in root.get(reverse(f"{BLOCKLISTS}_change", args=[row.pk])).content.decode()
    # The zones themselves are the platform's.
    assert sign_in(acme.owner).get(reverse(f"{BLOCKLISTS}_change", args=[row.pk])).status_code == 403


def test_a_zone_that_is_not_believed_says_why(platform, root):
    Blocklist.objects.update(zone_status="invalid", zone_error="bl.example answers everything", dns_checked_at=NOW)
    page = root.get(reverse(f"{BLOCKLISTS}_change", args=[Blocklist.objects.get().pk])).content.decode()
    assert "bl.example answers everything" in page
    assert "Not used" in page
