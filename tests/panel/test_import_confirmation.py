"""An import does what its dry run showed: what others changed meanwhile is shown again, before it is taken back."""

import pytest
from django.contrib.messages import get_messages
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils import timezone

from ippools import pausing
from panel.bulk.csv_import import NOTHING_LEFT, SHOWN_AGAIN
from suppressions.models import Suppression
from tests.panel.conftest import SYSTEM
from tests.panel.test_suppressions import suppress

ADDRESSES = reverse("admin:ippools_ipaddress_import")
SUPPRESSIONS = reverse("admin:suppressions_suppression_import")


def confirm(client, url, text, mark):
    response = client.post(url, {"text": text, "confirmed": mark})
    return response, [str(each) for each in get_messages(response.wsgi_request)]


def test_a_pause_that_came_after_the_dry_run_is_shown_before_the_file_ends_it(acme, platform, root):
    text = "ipv4,priority,delivery_paused\n192.0.2.1,7,no\n"
    mark = root.post(ADDRESSES, {"text": text}).context["mark"]
    pausing.pause(acme.address.pk, reason="Blocklisted", until=None, at=timezone.now(), actor=SYSTEM)
    response, said = confirm(root, ADDRESSES, text, mark)
    acme.address.refresh_from_db()
    assert (response.status_code, said, acme.address.delivery_paused) == (200, [SHOWN_AGAIN], True)
    assert response.context["changes"][0] == ("192.0.2.1", "delivery_paused", "yes", "no")
    # Whoever has seen it may.
    response, _ = confirm(root, ADDRESSES, text, response.context["mark"])
    acme.address.refresh_from_db()
    assert (response.status_code, acme.address.delivery_paused) == (302, False)


@pytest.mark.parametrize("mark", ["1", "", "x" * 64])
def test_a_text_that_was_not_looked_at_is_not_imported(acme, platform, root, mark):
    text = "ipv4,delivery_paused\n192.0.2.1,yes\n"
    response, said = confirm(root, ADDRESSES, text, mark)
    acme.address.refresh_from_db()
    assert (response.status_code, acme.address.delivery_paused) == (200, False)
    assert said == ([SHOWN_AGAIN] if mark else [])


def test_an_edited_text_is_shown_before_it_is_imported(acme, platform, root):
    mark = root.post(ADDRESSES, {"text": "ipv4,priority\n192.0.2.1,7\n"}).context["mark"]
    response, _ = confirm(root, ADDRESSES, "ipv4,priority\n192.0.2.1,8\n", mark)
    assert [each[3] for each in response.context["changes"]] == ["8"]


def test_a_confirmation_that_is_sent_twice_says_that_nothing_is_left(acme, platform, root):
    text = "ipv4,delivery_paused\n192.0.2.1,yes\n"
    mark = root.post(ADDRESSES, {"text": text}).context["mark"]
    first, _ = confirm(root, ADDRESSES, text, mark)
    second, said = confirm(root, ADDRESSES, text, mark)
    assert (first.status_code, second.status_code) == (302, 200)
    assert said == ["Imported: created 0, changed 1, unchanged 0.", NOTHING_LEFT]
    assert second.context["changes"] == []


def test_a_file_is_the_same_with_the_line_ends_of_the_form(acme, platform, root):
    text = '\ufeffaddress,organization,notes\nann@x.example,acme,"two\nlines"\n'
    looked = root.post(SUPPRESSIONS, {"file": SimpleUploadedFile("list.csv", text.encode(), "text/csv")})
    shown = looked.context["form"].initial["text"]
    # Events may suppress one of its addresses meanwhile: that takes nothing back.
    suppress(acme, "ann@x.example")
    response, said = confirm(root, SUPPRESSIONS, shown.replace("\n", "\r\n"), looked.context["mark"])
    assert (response.status_code, said) == (302, ["Imported: suppressed 0, suppressed already 1."])
    assert Suppression.objects.filter(organization=acme.organization).count() == 2
